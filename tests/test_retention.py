"""``flask apidevices prune`` deletes old rows in small batches."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from apidevices import audit, clock, limits, preferences, upkeep
from apidevices.database import Database
from apidevices.models import (
    AuditEntry,
    DeviceActivity,
    DeviceDay,
    DeviceDenials,
    DeviceHistory,
    RateLimit,
)
from apidevices.standalone import uploads
from apidevices.standalone.models import Upload
from apidevices.upkeep import tasks
from tests.command_line import Cli
from tests.conftest import MakeApp, Register, state_of

HOUR = timedelta(hours=1)

DAYS = {"HISTORY": 730, "DENIALS": 365, "AUDIT": 730, "UPLOADS": 365}
"""The settings APIDEVICES_KEEP_…_DAYS and their defaults."""


@pytest.fixture
def now() -> datetime:
    return clock.now()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "PAUSE", 0)


def fill(db: Database, register: Register, setting: str, ages: list[timedelta]) -> None:
    """Write one row of each age that a setting is about."""
    now = clock.now()
    for number, age in enumerate(ages):
        at = now - age
        device_id = register(f"phone-{number}", at if setting == "HISTORY" else now)
        with db.write() as session:
            if setting == "AUDIT":
                audit.record(session, audit.Action.DEVICE_RENAMED, "x", actor="ann", at=at)
            elif setting == "DENIALS":
                session.execute(
                    update(DeviceActivity)
                    .where(DeviceActivity.device_id == device_id)
                    .values(
                        denied_count=3,
                        last_denied_at=at,
                        last_denied_address="192.0.2.1",
                        last_denied_token_id=1,
                    )
                )
        if setting == "UPLOADS":
            uploads.store(db, b"[]", device_id=device_id, token_id=1, now=at)


def count(db: Database, setting: str) -> int:
    """Return how many rows that a setting is about are left."""
    query = {
        "HISTORY": select(func.count()).select_from(DeviceHistory),
        "DENIALS": select(func.count()).where(
            or_(
                DeviceActivity.denied_count > 0,
                DeviceActivity.last_denied_address.is_not(None),
                DeviceActivity.last_denied_token_id.is_not(None),
            )
        ),
        "AUDIT": select(func.count()).where(AuditEntry.subject == "x"),
        "UPLOADS": select(func.count()).select_from(Upload),
    }[setting]
    with db.read() as session:
        return session.scalars(query).one()


@pytest.mark.parametrize("setting", DAYS)
def test_prune_deletes_what_is_older_than_the_setting(
    app: Flask, db: Database, register: Register, setting: str
) -> None:
    limit = timedelta(days=DAYS[setting])
    fill(db, register, setting, [limit + HOUR, limit + 2 * HOUR, limit - HOUR, HOUR])
    Cli(app).succeed("prune", "--dry-run")
    assert count(db, setting) == 4
    table = Cli(app).succeed("prune")
    assert count(db, setting) == 2
    assert any(
        f"{DAYS[setting]} days" in line and line.endswith(" 2") for line in table.split("\n")
    )


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("setting", DAYS)
def test_zero_days_keep_everything(
    make_app: MakeApp, db: Database, register: Register, setting: str
) -> None:
    app = make_app(**{f"APIDEVICES_KEEP_{setting}_DAYS": "0"})
    fill(db, register, setting, [timedelta(days=30_000), HOUR])
    assert "never" in Cli(app).succeed("prune")
    assert count(db, setting) == 2


def test_dry_run_counts_what_prune_changes(app: Flask, db: Database, register: Register) -> None:
    for setting in ("HISTORY", "UPLOADS"):
        fill(db, register, setting, [timedelta(days=3_000)] * 3)
    planned = Cli(app).succeed("prune", "--dry-run").splitlines()[2:]
    assert planned == Cli(app).succeed("prune").splitlines()[2:]


def test_prune_deletes_rate_limits_that_have_recovered_or_are_years_ahead(
    app: Flask, db: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "MAX_AHEAD", timedelta(days=1))
    limit = limits.Limit("test", 2, limits.DAY)
    moments = {"past": -25 * HOUR, "current": -HOUR, "future": timedelta(days=3650)}
    with db.write() as session:
        for subject, age in moments.items():
            limits.take(db, session, limit, subject, now + age)
    Cli(app).succeed("prune")
    with db.read() as session:
        kept = session.scalars(select(RateLimit.key)).all()
    assert [key for key in kept if key.startswith("test:")] == ["test:current"]


def test_prune_deletes_days_that_are_older_than_the_setting(
    app: Flask, db: Database, register: Register, now: datetime
) -> None:
    device_id, other = register("phone-1", now), register("phone-2", now)
    ago = [(now - timedelta(days=days)).date() for days in range(400)]

    def group(day: date) -> DeviceDenials:
        return DeviceDenials(device_id=device_id, day=day, denied=1, first_at=now, last_at=now)

    with db.write() as session:
        for days in (0, 90, 91, 399):
            session.add(DeviceDay(device_id=device_id, day=ago[days], requests=1, uploads=0))
        session.add(DeviceDay(device_id=other, day=ago[1], requests=1, uploads=0))
        session.add_all(group(ago[days]) for days in (365, 366))
    planned = Cli(app).succeed("prune", "--dry-run").splitlines()[2:]
    pruned = Cli(app).succeed("prune").splitlines()[2:]
    assert planned == pruned
    lines = [line.split()[-1] for line in pruned if "counts of devices" in line]
    assert lines == ["1"]
    with db.read() as session:
        kept = select(DeviceDay.device_id, DeviceDay.day).order_by(DeviceDay.day)
        assert session.execute(kept).all() == [
            (device_id, ago[90]),
            (other, ago[1]),
            (device_id, ago[0]),
        ]
        assert session.scalars(select(DeviceDenials.day)).all() == [ago[365]]


# --- batches -----------------------------------------------------------------------------------


class CountingDatabase(Database):
    """A database that counts its write transactions, and runs a function after each."""

    writes = 0

    @contextmanager
    def write(
        self, timeout: float | None = None, *, exclusive: bool = False, essential: bool = True
    ) -> Iterator[Session]:
        with super().write(timeout, exclusive=exclusive, essential=essential) as session:
            yield session
        self.writes += 1


def test_other_writers_get_their_turn_between_batches(
    app: Flask, db: Database, register: Register, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "BATCH", 2)
    monkeypatch.setattr(tasks, "PAUSE", 0.05)
    fill(db, register, "HISTORY", [timedelta(days=1_000)] * 7)
    counting, stop = CountingDatabase(db.engine), threading.Event()
    pruning = threading.Thread(
        target=lambda: upkeep.run(counting, state_of(app).upkeep, now=now, stop=stop)
    )
    pruning.start()
    left: set[int] = set()
    while pruning.is_alive():
        preferences.store(db, "ann", shortcuts=len(left) % 2 == 0)
        left.add(count(db, "HISTORY"))
    pruning.join()
    assert counting.writes == 4
    assert len(left) > 2


def test_batch_of_large_uploads_is_limited_by_their_size(
    app: Flask, db: Database, register: Register, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "BATCH_BYTES", 5)
    fill(db, register, "UPLOADS", [timedelta(days=1_000)] * 6)
    counting = CountingDatabase(db.engine)
    upkeep.run(counting, state_of(app).upkeep, now=now)
    assert (counting.writes, count(db, "UPLOADS")) == (3, 0)


def test_search_for_old_history_ends_at_young_entries(
    app: Flask, db: Database, register: Register, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "ORDERED_WINDOW", 2)
    old = timedelta(days=1_000)
    fill(db, register, "HISTORY", [old, old, HOUR, HOUR, old])
    upkeep.run(db, state_of(app).upkeep, now=now)
    assert count(db, "HISTORY") == 3


def test_prune_refuses_to_run_if_the_clock_is_obviously_wrong(
    app: Flask, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_EARLIEST", clock.now() + timedelta(days=365))
    assert "Set the clock" in Cli(app).fail("prune")
