"""Activity on its way to the database: late, never lost, never backwards."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

import app as product
from apidevices import devices, tokens
from apidevices.activity import ActivityBuffer
from apidevices.database import Database
from apidevices.models import ApiToken, Device, DeviceActivity
from harness.real_server import ROOT, wait_until
from tests.conftest import NOON, Register

NEVER = 3600.0  # seconds between two writes: the test asks for each


def after(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


class Moody(Database):
    """A database that can be away for a while."""

    away = False

    @contextmanager
    def write(self, timeout: float | None = None, *, exclusive: bool = False) -> Iterator[Session]:
        if self.away:
            raise OSError("the database is away")
        with super().write(timeout, exclusive=exclusive) as session:
            yield session


@pytest.fixture
def moody(app: Flask) -> Moody:
    with app.app_context():
        return Moody(product.db.engine)


@pytest.fixture
def buffer(moody: Moody) -> Iterator[ActivityBuffer]:
    made = ActivityBuffer(moody, interval=NEVER, limit=2)
    yield made
    made.close()


@pytest.fixture
def token_id(db: Database) -> int:
    return tokens.issue(db, "test", actor="ann", now=NOON)[0].id


def activity(db: Database, device_id: int) -> DeviceActivity:
    return devices.get(db, device_id).activity


def token_used_at(db: Database, token_id: int) -> datetime | None:
    with db.read() as session:
        return session.scalar(select(ApiToken.last_used_at).where(ApiToken.id == token_id))


def was_active_at(db: Database, device_id: int, moment: datetime) -> bool:
    return activity(db, device_id).last_active_at == moment


# --- what is written ---------------------------------------------------------------------------


def test_a_request_moves_the_times(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer.record_request(device_id, token_id, after(5), upload=False)
    buffer.flush()
    found = activity(db, device_id)
    assert (found.last_active_at, found.last_activity_at) == (after(5), after(5))
    assert found.last_upload_at is None
    assert token_used_at(db, token_id) == after(5)


def test_an_upload_moves_its_own_time_too(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer.record_request(device_id, token_id, after(5), upload=True)
    buffer.record_request(device_id, token_id, after(6), upload=False)
    buffer.flush()
    found = activity(db, device_id)
    assert (found.last_upload_at, found.last_active_at) == (after(5), after(6))


def test_the_tokens_of_a_device_are_known_with_first_and_last_use(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    for seconds in (6, 5, 7):
        buffer.record_request(device_id, token_id, after(seconds), upload=False)
    buffer.flush()
    [used] = [use for use in devices.tokens_used(db, device_id) if use.token_id == token_id]
    assert (used.first_used_at, used.last_used_at) == (after(5), after(7))


def test_the_last_use_of_a_token_is_a_minute_behind_at_most(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    for seconds, known in ((0, 0), (30, 0), (59, 0), (60, 60), (90, 60), (150, 150)):
        buffer.record_request(device_id, token_id, after(seconds), upload=False)
        buffer.flush()
        [used] = [use for use in devices.tokens_used(db, device_id) if use.token_id == token_id]
        assert (used.first_used_at, used.last_used_at) == (NOON, after(known))


def test_a_request_without_device_moves_the_token_s_time_only(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer.record_token_use(token_id, after(5))
    buffer.flush()
    assert token_used_at(db, token_id) == after(5)
    assert activity(db, device_id).last_active_at == NOON


def test_denied_requests_add_up(db: Database, buffer: ActivityBuffer, register: Register) -> None:
    device_id = register("phone-1")
    for seconds in (5, 6):
        buffer.record_denial(device_id, after(seconds))
    buffer.flush()
    buffer.record_denial(device_id, after(7))
    buffer.flush()
    found = activity(db, device_id)
    assert (found.denied_count, found.last_denied_at) == (3, after(7))
    assert (found.last_active_at, found.last_activity_at) == (NOON, NOON)


def test_nothing_is_written_twice(db: Database, buffer: ActivityBuffer, register: Register) -> None:
    device_id = register("phone-1")
    buffer.record_denial(device_id, after(5))
    buffer.flush()
    buffer.flush()
    assert activity(db, device_id).denied_count == 1


def test_late_activity_does_not_move_a_blocked_device_in_the_list(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer.record_request(device_id, token_id, after(5), upload=False)
    devices.block(db, device_id, actor="ann", now=after(6))
    buffer.flush()
    found = activity(db, device_id)
    assert (found.last_active_at, found.last_activity_at) == (after(5), after(6))


# --- never backwards ---------------------------------------------------------------------------


@pytest.mark.parametrize("between", [True, False], ids=["two writes", "one write"])
def test_times_never_go_backwards(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int, between: bool
) -> None:
    device_id = register("phone-1")
    buffer.record_request(device_id, token_id, after(9), upload=True)
    buffer.record_denial(device_id, after(9))
    if between:
        buffer.flush()
    buffer.record_request(device_id, token_id, after(5), upload=True)
    buffer.record_denial(device_id, after(5))
    buffer.flush()
    found = activity(db, device_id)
    assert (found.last_active_at, found.last_activity_at) == (after(9), after(9))
    assert (found.last_upload_at, found.last_denied_at) == (after(9), after(9))
    assert token_used_at(db, token_id) == after(9)
    assert devices.tokens_used(db, device_id)[0].last_used_at == after(9)


def test_another_process_s_later_time_stays(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    other = ActivityBuffer(db, interval=NEVER, limit=2)
    buffer.record_request(device_id, token_id, after(5), upload=False)
    other.record_request(device_id, token_id, after(9), upload=False)
    other.close()
    buffer.flush()
    assert activity(db, device_id).last_active_at == after(9)


# --- when it is written ------------------------------------------------------------------------


def test_a_thread_writes_without_being_asked(
    db: Database, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer = ActivityBuffer(db, interval=0.05, limit=2)
    for moment in (after(5), after(6)):
        buffer.record_request(device_id, token_id, moment, upload=False)
        wait_until(partial(was_active_at, db, device_id, moment))
    buffer.close()


def test_closing_writes_what_is_left(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer.record_request(device_id, token_id, after(5), upload=False)
    buffer.close()
    assert activity(db, device_id).last_active_at == after(5)


AT_EXIT = """
import sys
from datetime import datetime
from app import create_app

device_id, token_id, moment = sys.argv[1:]
activity = create_app().extensions["apidevices"].activity
activity.record_request(int(device_id), int(token_id), datetime.fromisoformat(moment), upload=False)
"""


def test_the_exit_of_a_process_writes_what_is_left(
    db: Database, register: Register, token_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    device_id = register("phone-1")
    monkeypatch.setenv("APIDEVICES_ACTIVITY_INTERVAL", "1")
    subprocess.run(
        [sys.executable, "-c", AT_EXIT, str(device_id), str(token_id), after(5).isoformat()],
        cwd=ROOT,
        check=True,
    )
    assert activity(db, device_id).last_active_at == after(5)


# --- a database that is away -------------------------------------------------------------------


def test_what_can_t_be_written_is_kept(
    moody: Moody,
    buffer: ActivityBuffer,
    register: Register,
    token_id: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    device_id = register("phone-1")
    moody.away = True
    buffer.record_request(device_id, token_id, after(5), upload=True)
    buffer.record_denial(device_id, after(5))
    with caplog.at_level(logging.WARNING):
        buffer.flush()
    assert ["the database is away" in record.message for record in caplog.records] == [True]
    buffer.record_request(device_id, token_id, after(6), upload=False)
    buffer.record_denial(device_id, after(6))
    buffer.flush()
    moody.away = False
    buffer.flush()
    found = activity(moody, device_id)
    assert (found.last_active_at, found.last_upload_at) == (after(6), after(5))
    assert (found.denied_count, found.last_denied_at) == (2, after(6))
    assert token_used_at(moody, token_id) == after(6)


def test_the_thread_tries_again(moody: Moody, register: Register, token_id: int) -> None:
    device_id = register("phone-1")
    buffer = ActivityBuffer(moody, interval=0.05, limit=2)
    tried = threading.Event()

    class Watched(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tried.set()

    handler = Watched()
    logging.getLogger("apidevices.activity").addHandler(handler)
    moody.away = True
    buffer.record_request(device_id, token_id, after(5), upload=False)
    assert tried.wait(10)
    moody.away = False
    wait_until(partial(was_active_at, moody, device_id, after(5)))
    logging.getLogger("apidevices.activity").removeHandler(handler)
    buffer.close()


def test_what_waits_is_bounded(
    moody: Moody, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    ids = [register(f"phone-{number}") for number in range(3)]
    moody.away = True
    for seconds, device_id in enumerate(ids, start=1):
        buffer.record_request(device_id, token_id, after(seconds), upload=False)
        buffer.flush()
    moody.away = False
    buffer.flush()
    times = [activity(moody, device_id).last_active_at for device_id in ids]
    assert times == [NOON, after(2), after(3)]


def test_a_device_that_is_gone_holds_up_no_other(
    moody: Moody, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    gone, there = register("phone-1"), register("phone-2")
    buffer.record_request(gone, token_id, after(5), upload=False)
    buffer.record_request(there, token_id, after(5), upload=False)
    with moody.connect() as connection:
        connection.execute(delete(Device).where(Device.id == gone))
    buffer.flush()
    assert activity(moody, there).last_active_at == after(5)


# --- a process that forks ----------------------------------------------------------------------

forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def in_child(act: Callable[[], None]) -> int:
    """Do something in a forked process and return how it ended; 10 seconds at most."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            signal.alarm(10)
            act()
            status = 0
        os._exit(status)
    return os.waitpid(pid, 0)[1]


@forks
def test_a_child_does_not_write_what_its_parent_noted(
    db: Database, buffer: ActivityBuffer, register: Register
) -> None:
    device_id = register("phone-1")
    buffer.record_denial(device_id, after(5))

    def act() -> None:
        buffer.record_denial(device_id, after(6))
        buffer.flush()

    assert in_child(act) == 0
    assert activity(db, device_id).denied_count == 1
    buffer.flush()
    assert activity(db, device_id).denied_count == 2


@forks
def test_a_child_has_a_thread_of_its_own(db: Database, register: Register, token_id: int) -> None:
    device_id = register("phone-1")
    buffer = ActivityBuffer(db, interval=0.05, limit=2)
    buffer.record_request(device_id, token_id, NOON, upload=False)  # its thread runs from here on

    def act() -> None:
        buffer.record_request(device_id, token_id, after(5), upload=False)
        wait_until(partial(was_active_at, db, device_id, after(5)), 5)

    assert in_child(act) == 0
    buffer.close()


@forks
def test_a_fork_while_requests_are_noted_leaves_a_child_that_works(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    enough = threading.Event()

    def make_requests() -> None:
        while not enough.is_set():
            buffer.record_request(device_id, token_id, NOON, upload=False)

    threads = [threading.Thread(target=make_requests) for _ in range(2)]
    for thread in threads:
        thread.start()

    def act() -> None:
        buffer.record_denial(device_id, after(5))
        buffer.flush()

    try:
        assert [in_child(act) for _ in range(10)] == [0] * 10
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert activity(db, device_id).denied_count == 10
