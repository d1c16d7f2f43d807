"""What a flush writes for the activity that was recorded."""

import pytest

from apidevices import devices
from apidevices.activity import ActivityBuffer
from apidevices.database import Database
from tests.activity.conftest import NEVER, activity, after, token_used_at
from tests.conftest import NOON, Register


def test_request_updates_times_of_device_and_token(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer.record_request(device_id, token_id, after(5), upload=False)
    buffer.flush()
    found = activity(db, device_id)
    assert (found.last_active_at, found.last_activity_at) == (after(5), after(5))
    assert found.last_upload_at is None
    assert token_used_at(db, token_id) == after(5)


def test_upload_also_updates_last_upload_time(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer.record_request(device_id, token_id, after(5), upload=True)
    buffer.record_request(device_id, token_id, after(6), upload=False)
    buffer.flush()
    found = activity(db, device_id)
    assert (found.last_upload_at, found.last_active_at) == (after(5), after(6))


def test_first_and_last_use_of_a_token_are_recorded_per_device(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    for seconds in (6, 5, 7):
        buffer.record_request(device_id, token_id, after(seconds), upload=False)
    buffer.flush()
    [used] = [use for use in devices.tokens_used(db, device_id) if use.token_id == token_id]
    assert (used.first_used_at, used.last_used_at) == (after(5), after(7))


def test_last_use_of_a_token_by_a_device_is_written_once_a_minute(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    for seconds, written in ((0, 0), (30, 0), (59, 0), (60, 60), (90, 60), (150, 150)):
        buffer.record_request(device_id, token_id, after(seconds), upload=False)
        buffer.flush()
        [used] = [use for use in devices.tokens_used(db, device_id) if use.token_id == token_id]
        assert (used.first_used_at, used.last_used_at) == (NOON, after(written))


def test_request_without_device_updates_only_the_token(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer.record_token_use(token_id, after(5))
    buffer.flush()
    assert token_used_at(db, token_id) == after(5)
    assert activity(db, device_id).last_active_at == NOON


def test_denied_requests_are_summed_across_flushes(
    db: Database, buffer: ActivityBuffer, register: Register
) -> None:
    device_id = register("phone-1")
    for seconds in (5, 6):
        buffer.record_denial(device_id, after(seconds))
    buffer.flush()
    buffer.record_denial(device_id, after(7))
    buffer.flush()
    found = activity(db, device_id)
    assert (found.denied_count, found.last_denied_at) == (3, after(7))
    assert (found.last_active_at, found.last_activity_at) == (NOON, NOON)


@pytest.mark.parametrize("flush_between", [True, False], ids=["two flushes", "one flush"])
def test_address_and_token_of_the_last_denied_request_are_recorded(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int, flush_between: bool
) -> None:
    device_id = register("phone-1")
    buffer.record_denial(device_id, after(6), token_id, '2001:db8::1"\\')  # as it may be forged
    if flush_between:
        buffer.flush()
    buffer.record_denial(device_id, after(5), None, "192.0.2.5")
    buffer.flush()
    found = activity(db, device_id)
    assert (found.denied_count, found.last_denied_at) == (2, after(6))
    assert found.last_denied_address == '2001:db8::1"\\'
    assert (found.last_denied_token_id, token_used_at(db, token_id)) == (token_id, None)


@pytest.mark.parametrize(
    ("sent", "stored"), [("x" * 70, "x" * 64), ("", None), (None, None), ("1.2\x003\ud800", None)]
)
def test_unusual_address_of_a_denied_request_does_not_fail_the_flush(
    db: Database, buffer: ActivityBuffer, register: Register, sent: str | None, stored: str | None
) -> None:
    device_id = register("phone-1")
    buffer.record_denial(device_id, after(5), None, "192.0.2.1")
    buffer.record_denial(device_id, after(6), None, sent)
    buffer.flush()
    found = activity(db, device_id)
    assert (found.denied_count, found.last_denied_address) == (2, stored)


def test_second_flush_does_not_write_the_same_activity_again(
    db: Database, buffer: ActivityBuffer, register: Register
) -> None:
    device_id = register("phone-1")
    buffer.record_denial(device_id, after(5))
    buffer.flush()
    buffer.flush()
    assert activity(db, device_id).denied_count == 1


def test_activity_flushed_after_a_block_does_not_move_the_device_in_the_list(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    buffer.record_request(device_id, token_id, after(5), upload=False)
    devices.block(db, device_id, actor="ann", now=after(6))
    buffer.flush()
    found = activity(db, device_id)
    assert (found.last_active_at, found.last_activity_at) == (after(5), after(6))


@pytest.mark.parametrize("flush_between", [True, False], ids=["two flushes", "one flush"])
def test_activity_times_never_move_backwards(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int, flush_between: bool
) -> None:
    device_id = register("phone-1")
    buffer.record_request(device_id, token_id, after(9), upload=True)
    buffer.record_denial(device_id, after(9))
    if flush_between:
        buffer.flush()
    buffer.record_request(device_id, token_id, after(5), upload=True)
    buffer.record_denial(device_id, after(5))
    buffer.flush()
    found = activity(db, device_id)
    assert (found.last_active_at, found.last_activity_at) == (after(9), after(9))
    assert (found.last_upload_at, found.last_denied_at) == (after(9), after(9))
    assert token_used_at(db, token_id) == after(9)
    assert devices.tokens_used(db, device_id)[0].last_used_at == after(9)


def test_flush_does_not_overwrite_a_later_time_written_by_another_process(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    other = ActivityBuffer(db, interval=NEVER, limit=2)
    buffer.record_request(device_id, token_id, after(5), upload=False)
    other.record_request(device_id, token_id, after(9), upload=False)
    other.close()
    buffer.flush()
    assert activity(db, device_id).last_active_at == after(9)
