"""When activity is written, and what happens to it while the database is unavailable."""

import logging
import subprocess
import sys
import threading
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import delete

from apidevices import clock
from apidevices.activity import ActivityBuffer
from apidevices.database import Database
from apidevices.models import Device
from harness.real_server import ROOT, wait_until
from tests.activity.conftest import (
    FlakyDatabase,
    activity,
    after,
    token_used_at,
    was_active_at,
)
from tests.conftest import NOON, Register


def test_background_thread_flushes_periodically(
    db: Database, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer = ActivityBuffer(db, interval=0.05, limit=2)
    for moment in (after(5), after(6)):
        buffer.record_request(device_id, token_id, moment, upload=False)
        wait_until(partial(was_active_at, db, device_id, moment))
    buffer.close()


def test_close_flushes_buffered_activity(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer.record_request(device_id, token_id, after(5), upload=False)
    buffer.close()
    assert activity(db, device_id).last_active_at == after(5)


RECORD_AND_EXIT = """
import sys
from datetime import datetime
from app import create_app

device_id, token_id, moment = sys.argv[1:]
activity = create_app().extensions["apidevices"].activity
activity.record_request(int(device_id), int(token_id), datetime.fromisoformat(moment), upload=False)
"""


def test_process_exit_flushes_buffered_activity(
    db: Database, register: Register, token_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = clock.now()
    device_id = register("phone-1", moment - timedelta(hours=1))
    monkeypatch.setenv("APIDEVICES_ACTIVITY_INTERVAL", "1")
    arguments = [str(device_id), str(token_id), moment.isoformat()]
    subprocess.run([sys.executable, "-c", RECORD_AND_EXIT, *arguments], cwd=ROOT, check=True)
    assert activity(db, device_id).last_active_at == moment


def test_failed_flush_keeps_activity_for_the_next_flush(
    flaky_db: FlakyDatabase,
    buffer: ActivityBuffer,
    register: Register,
    token_id: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    device_id = register("phone-1")
    flaky_db.available = False
    buffer.record_request(device_id, token_id, after(5), upload=True)
    buffer.record_denial(device_id, after(5))
    with caplog.at_level(logging.WARNING):
        buffer.flush()
    assert ["the database is unavailable" in record.message for record in caplog.records] == [True]
    buffer.record_request(device_id, token_id, after(6), upload=False)
    buffer.record_denial(device_id, after(6))
    buffer.flush()
    flaky_db.available = True
    buffer.flush()
    found = activity(flaky_db, device_id)
    assert (found.last_active_at, found.last_upload_at) == (after(6), after(5))
    assert (found.denied_count, found.last_denied_at) == (2, after(6))
    assert token_used_at(flaky_db, token_id) == after(6)


def test_background_thread_retries_after_a_failed_flush(
    flaky_db: FlakyDatabase, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer = ActivityBuffer(flaky_db, interval=0.05, limit=2)
    failed = threading.Event()

    class FailureHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            failed.set()

    handler = FailureHandler()
    logger = logging.getLogger("apidevices.activity")
    logger.addHandler(handler)
    try:
        flaky_db.available = False
        buffer.record_request(device_id, token_id, after(5), upload=False)
        assert failed.wait(10)
        flaky_db.available = True
        wait_until(partial(was_active_at, flaky_db, device_id, after(5)))
    finally:
        logger.removeHandler(handler)
        buffer.close()


def test_requests_are_merged_before_they_take_much_memory(
    db: Database,
    buffer: ActivityBuffer,
    register: Register,
    token_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("apidevices.activity.buffer.MAX_EVENTS", 3)
    device_id = register("phone-1")
    for second in range(10):
        buffer.record_request(device_id, token_id, after(second), upload=False)
        assert len(buffer._events) <= 3
    buffer.flush()
    assert activity(db, device_id).last_active_at == after(9)


def test_buffer_over_its_limit_drops_the_oldest_devices(
    flaky_db: FlakyDatabase, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    ids = [register(f"phone-{number}") for number in range(3)]
    flaky_db.available = False
    for seconds, device_id in enumerate(ids, start=1):
        buffer.record_request(device_id, token_id, after(seconds), upload=False)
        buffer.flush()
    flaky_db.available = True
    buffer.flush()
    times = [activity(flaky_db, device_id).last_active_at for device_id in ids]
    assert times == [NOON, after(2), after(3)]


def test_flush_with_a_deleted_device_still_writes_other_devices(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    deleted, existing = register("phone-1"), register("phone-2")
    buffer.record_request(deleted, token_id, after(5), upload=False)
    buffer.record_request(existing, token_id, after(5), upload=False)
    with db.connect() as connection:
        connection.execute(delete(Device).where(Device.id == deleted))
    buffer.flush()
    assert activity(db, existing).last_active_at == after(5)
