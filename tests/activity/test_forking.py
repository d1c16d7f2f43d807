"""Forking while activity is recorded: neither side loses activity, repeats it or deadlocks."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from functools import partial

import pytest

from apidevices.activity import ActivityBuffer
from apidevices.database import Database
from harness.real_server import wait_until
from tests.activity.conftest import activity, after, was_active_at
from tests.conftest import NOON, Register

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def run_in_child(function: Callable[[], None]) -> int:
    """Call a function in a forked child and return its wait status; kill it after 10 seconds."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            signal.alarm(10)
            function()
            status = 0
        os._exit(status)
    return os.waitpid(pid, 0)[1]


def test_forked_child_does_not_write_activity_recorded_by_its_parent(
    db: Database, buffer: ActivityBuffer, register: Register
) -> None:
    device_id = register("phone-1")
    buffer.record_denial(device_id, after(5))

    def deny_and_flush() -> None:
        buffer.record_denial(device_id, after(6))
        buffer.flush()

    assert run_in_child(deny_and_flush) == 0
    assert activity(db, device_id).denied_count == 1
    buffer.flush()
    assert activity(db, device_id).denied_count == 2


def test_forked_child_starts_its_own_flush_thread(
    db: Database, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer = ActivityBuffer(db, interval=0.05, limit=2)
    buffer.record_request(device_id, token_id, NOON, upload=False)  # starts the parent's thread

    def request_and_wait() -> None:
        buffer.record_request(device_id, token_id, after(5), upload=False)
        wait_until(partial(was_active_at, db, device_id, after(5)), 5)

    assert run_in_child(request_and_wait) == 0
    buffer.close()


def test_fork_during_concurrent_requests_does_not_deadlock_the_child(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    stop = threading.Event()

    def make_requests() -> None:
        while not stop.is_set():
            buffer.record_request(device_id, token_id, NOON, upload=False)

    threads = [threading.Thread(target=make_requests) for _ in range(2)]
    for thread in threads:
        thread.start()

    def deny_and_flush() -> None:
        buffer.record_denial(device_id, after(5))
        buffer.flush()

    try:
        assert [run_in_child(deny_and_flush) for _ in range(10)] == [0] * 10
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert activity(db, device_id).denied_count == 10
