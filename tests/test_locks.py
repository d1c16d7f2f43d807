"""Concurrent writes to the same rows wait for each other and never deadlock."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import select, text

from apidevices import devices, tokens
from apidevices.activity import ActivityBuffer
from apidevices.database import Database
from apidevices.identity import DeviceIdentity
from apidevices.models import DeviceActivity
from harness.real_server import wait_until
from tests.conftest import NOON, Register

pytestmark = pytest.mark.database("postgresql")

NEVER = 3600.0  # a flush interval longer than any test, so that only explicit flushes run


@pytest.fixture
def token_id(db: Database) -> int:
    return tokens.issue(db, "unused", actor="ann", now=NOON)[0].id


@contextmanager
def activity_locked(db: Database) -> Iterator[None]:
    """Lock all activity rows, so that writes to them wait."""
    with db.engine.begin() as connection:
        connection.execute(select(DeviceActivity.device_id).with_for_update())
        yield


def waiting(db: Database) -> int:
    """Return how many connections are waiting for a lock."""
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()"""
    with db.connect() as connection:
        return connection.scalar(text(query)) or 0


def test_concurrent_flushes_of_two_processes_do_not_deadlock(
    db: Database, register: Register, token_id: int, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [register("phone-1"), register("phone-2")]
    buffers = [ActivityBuffer(db, interval=NEVER, limit=9) for _ in ids]
    for buffer, (active, denied) in zip(buffers, (ids, ids[::-1]), strict=True):
        buffer.record_request(active, token_id, NOON, upload=False)
        buffer.record_denial(denied, NOON)
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(2) as pool, activity_locked(db):
        for buffer in buffers:
            pool.submit(buffer.flush)
        wait_until(lambda: waiting(db) == 2)
    assert caplog.messages == []
    assert [devices.get(db, id_).activity.denied_count for id_ in ids] == [1, 1]
    for buffer in buffers:
        buffer.close()


def rename(db: Database, device_id: int, token_id: int) -> None:
    devices.rename(db, device_id, "Till", actor="ann", now=NOON)


def block(db: Database, device_id: int, token_id: int) -> None:
    devices.block(db, device_id, actor="ann", now=NOON)


def report(db: Database, device_id: int, token_id: int) -> None:
    identity = DeviceIdentity("phone-1", {"model": "Pixel 9"})
    devices.report(db, identity, token_id=token_id, address=None, now=NOON)


@pytest.mark.parametrize("write", [rename, block, report])
def test_flush_does_not_deadlock_with_another_write_to_the_device(
    db: Database,
    register: Register,
    token_id: int,
    caplog: pytest.LogCaptureFixture,
    write: Callable[[Database, int, int], None],
) -> None:
    device_id = register("phone-1")
    buffer = ActivityBuffer(db, interval=NEVER, limit=9)
    # The flush inserts a row that references the device, which locks the device's row.
    buffer.record_request(device_id, token_id, NOON, upload=False)
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(2) as pool:
        with activity_locked(db):
            pool.submit(buffer.flush)
            wait_until(lambda: waiting(db) == 1)
            writing: Future[None] = pool.submit(write, db, device_id, token_id)
            wait_until(lambda: writing.done() or waiting(db) == 2)
        writing.result()
    assert caplog.messages == []
    buffer.close()
