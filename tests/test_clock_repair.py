"""Times more than a day ahead of the database's clock are repaired."""

from datetime import datetime, timedelta

import pytest
from flask import Flask

from apidevices import clock, devices, tokens
from apidevices.activity import ActivityBuffer
from apidevices.database import Database
from apidevices.devices.queries import load
from tests.conftest import Register, state_of

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _one_day(_far_ahead: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "MAX_AHEAD", DAY)


@pytest.fixture
def now() -> datetime:
    return clock.now()


@pytest.fixture
def buffer(app: Flask) -> ActivityBuffer:
    return state_of(app).activity


def all_times(db: Database, device_id: int) -> list[datetime | None]:
    """Return the times of activity of a device."""
    activity = devices.get(db, device_id).activity
    return [activity.last_active_at, activity.last_activity_at, activity.last_upload_at]


def test_next_request_replaces_a_time_far_in_the_future(
    db: Database, buffer: ActivityBuffer, register: Register, now: datetime
) -> None:
    token_id = tokens.issue(db, "test", actor="ann", now=now)[0].id
    device_id = register("phone-1", now + 3650 * DAY)
    with db.write() as session:
        device = load(session, device_id)
        device.activity.last_upload_at = device.activity.last_denied_at = now + 3650 * DAY
    buffer.record_request(device_id, token_id, now, upload=True)
    buffer.record_denial(device_id, now)
    buffer.flush()
    assert all_times(db, device_id) == [now, now, now]
    assert devices.get(db, device_id).activity.last_denied_at == now


def test_next_request_keeps_a_time_23_hours_ahead(
    db: Database, buffer: ActivityBuffer, register: Register, now: datetime
) -> None:
    ahead = now + timedelta(hours=23)
    device_id = register("phone-1", ahead)
    buffer.record_request(device_id, None, now, upload=False)
    buffer.flush()
    assert all_times(db, device_id) == [ahead, ahead, None]


def test_host_with_a_wrong_clock_stores_the_time_of_the_database(
    db: Database, buffer: ActivityBuffer, register: Register, now: datetime
) -> None:
    token_id = tokens.issue(db, "test", actor="ann", now=now)[0].id
    device_id = register("phone-1", now - DAY)
    buffer.record_request(device_id, token_id, now + 3650 * DAY, upload=True)
    buffer.flush()
    times = all_times(db, device_id)
    times += [token.last_used_at for token in tokens.all_tokens(db) if token.id == token_id]
    for use in devices.tokens_used(db, device_id):
        if use.token_id == token_id:
            times += [use.first_used_at, use.last_used_at]
    assert len(times) == 6
    assert all(time and abs(time - now) < timedelta(minutes=1) for time in times)


def test_token_use_is_recorded_after_the_clock_was_set_back(
    db: Database, buffer: ActivityBuffer, register: Register, now: datetime
) -> None:
    token_id = tokens.issue(db, "test", actor="ann", now=now)[0].id
    device_id = register("phone-1", now - DAY)
    buffer.record_request(device_id, token_id, now + 3650 * DAY, upload=False)
    buffer.flush()
    later = now + timedelta(hours=1)
    buffer.record_request(device_id, token_id, later, upload=False)
    buffer.flush()
    assert later in [use.last_used_at for use in devices.tokens_used(db, device_id)]
