"""Figures of the whole fleet: fresh or stored, counted by one process, consistent."""

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from typing import Any, Protocol

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from apidevices import clock, snapshots
from apidevices.database import Database
from apidevices.models import Device
from apidevices.snapshots import Snapshot
from harness.real_server import wait_until
from tests.conftest import NOON, Register

Collect = Callable[[Session, datetime], Mapping[str, int]]

LATER = NOON + timedelta(minutes=5)


def count_devices(session: Session, _now: datetime | None = None) -> Mapping[str, int]:
    return {"devices": session.scalar(select(func.count()).select_from(Device)) or 0}


def devices_of(snapshot: Snapshot, now: datetime = NOON, patience: float = 5) -> Any:
    taken = snapshot.latest(now, patience)
    return None if taken is None else taken.figures["devices"]


class MakeSnapshot(Protocol):
    """Return another snapshot of the same figures, as another process has it."""

    def __call__(self, collect: Collect = count_devices) -> Snapshot: ...


@pytest.fixture
def make_snapshot(db: Database) -> Iterator[MakeSnapshot]:
    made = []

    def make(collect: Collect = count_devices) -> Snapshot:
        made.append(Snapshot(db, "test", collect))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def snapshot(make_snapshot: MakeSnapshot) -> Snapshot:
    return make_snapshot()


@pytest.fixture
def all_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat each count as one of a large fleet, which rests for an hour."""
    monkeypatch.setattr(snapshots, "QUICK", -1.0)
    monkeypatch.setattr(snapshots, "SHARE", 1e7)


def test_small_fleet_gets_fresh_figures_for_each_visit(
    snapshot: Snapshot, register: Register
) -> None:
    for number in range(1, 4):
        register(f"phone-{number}")
        assert devices_of(snapshot) == number


@pytest.mark.usefixtures("all_are_slow")
def test_large_fleet_gets_stored_figures_until_the_next_count_is_due(
    make_snapshot: MakeSnapshot, register: Register
) -> None:
    register("phone-1")
    assert devices_of(make_snapshot()) == 1
    another = make_snapshot()
    wait_until(lambda: another.latest(LATER, 0) is not None, 5)
    register("phone-2")
    taken = another.latest(LATER, 0)
    assert taken == (NOON, {"devices": 1})


def test_due_count_of_a_large_fleet_runs_in_the_background(
    snapshot: Snapshot, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "QUICK", -1.0)
    monkeypatch.setattr(snapshots, "SHARE", 0)
    assert devices_of(snapshot) == 0
    register("phone-1")
    wait_until(lambda: snapshot.latest(LATER, 0) == (LATER, {"devices": 1}), 5)


def test_slow_first_count_is_none_until_it_is_complete(make_snapshot: MakeSnapshot) -> None:
    go_on = Event()

    def slowly(session: Session, _now: datetime) -> Mapping[str, int]:
        go_on.wait(10)
        return count_devices(session)

    snapshot = make_snapshot(slowly)
    assert snapshot.latest(NOON, 0.01) is None
    assert make_snapshot().latest(NOON, 0.2) is None  # one process counts
    go_on.set()
    wait_until(lambda: snapshot.latest(NOON, 0.1) is not None, 5)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_other_process_takes_over_after_a_kill(
    snapshot: Snapshot, make_snapshot: MakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "LEASE", timedelta(seconds=1))

    def die(_session: Session, _now: datetime) -> Mapping[str, int]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            signal.alarm(10)
            make_snapshot(die).latest(NOON, 10)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert snapshot.latest(NOON, 0.01) is None
    assert devices_of(snapshot) == 0


@pytest.mark.parametrize("journal_mode", ["WAL", "DELETE"])
def test_count_holds_up_no_writes_and_sees_none(
    db: Database, make_snapshot: MakeSnapshot, register: Register, journal_mode: str
) -> None:
    is_sqlite = db.engine.dialect.name == "sqlite"
    if is_sqlite:
        with db.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA journal_mode = {journal_mode}")

    def register_and_count(session: Session, _now: datetime) -> Mapping[str, int]:
        before = count_devices(session)
        register("phone-1")
        return {**before, "later": count_devices(session)["devices"]}

    taken = make_snapshot(register_and_count).count(NOON)
    # Without WAL, a consistent count would hold up the registration.
    sees_it = is_sqlite and journal_mode == "DELETE"
    assert taken.figures == {"devices": 0, "later": int(sees_it)}


@pytest.mark.database("sqlite")
def test_outage_leaves_the_last_figures_and_a_log_line(
    db: Database,
    snapshot: Snapshot,
    register: Register,
    monkeypatch: pytest.MonkeyPatch,
    caplog: Any,
) -> None:
    register("phone-1")
    assert devices_of(snapshot) == 1

    def fail() -> Any:
        raise OperationalError("SELECT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(db, "read", fail)
    with caplog.at_level(logging.WARNING):
        assert devices_of(snapshot, LATER) == 1
    assert "Can't update the figures “test”: " in caplog.text


@pytest.mark.database("sqlite")
def test_failed_count_leaves_the_stored_figures(
    make_snapshot: MakeSnapshot, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "RETRY", 0)
    fails: list[Callable[[], object]] = []

    def count(session: Session, _now: datetime) -> Mapping[str, int]:
        for fail in fails:
            fail()
        return count_devices(session)

    snapshot = make_snapshot(count)
    assert devices_of(snapshot, clock.now()) == 0
    fails.append(partial(int, "not a number"))
    assert devices_of(snapshot, patience=0.1) == 0
    assert "Can't count the figures “test”." in caplog.text
