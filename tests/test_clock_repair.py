"""Times more than a day ahead of the database's clock are repaired."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from apidevices import clock, devices, tokens
from apidevices.activity import ActivityBuffer
from apidevices.admin import times
from apidevices.database import Database
from apidevices.devices.queries import load
from apidevices.models import ApiToken, AuditEntry
from tests.command_line import Cli
from tests.conftest import Register, state_of

DAY = timedelta(days=1)
FUTURE = datetime(2136, 5, 17, 12, tzinfo=UTC)


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
    device_id = register("phone-1", FUTURE)
    [token_id] = [use.token_id for use in devices.tokens_used(db, device_id)]
    with db.write() as session:
        device = load(session, device_id)
        device.activity.last_upload_at = device.activity.last_denied_at = FUTURE
    buffer.record_request(device_id, token_id, now, upload=True)
    buffer.record_denial(device_id, now)
    buffer.flush()
    assert all_times(db, device_id) == [now, now, now]
    assert devices.get(db, device_id).activity.last_denied_at == now
    assert [use.last_used_at for use in devices.tokens_used(db, device_id)] == [now]


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
    buffer.record_request(device_id, token_id, FUTURE, upload=True)
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
    buffer.record_request(device_id, token_id, FUTURE, upload=False)
    buffer.flush()
    later = now + timedelta(hours=1)
    buffer.record_request(device_id, token_id, later, upload=False)
    buffer.flush()
    assert later in [use.last_used_at for use in devices.tokens_used(db, device_id)]


# --- housekeeping and prune --------------------------------------------------------------------


def test_prune_repairs_a_device_that_never_calls_again(
    app: Flask, db: Database, register: Register, now: datetime
) -> None:
    seen = now - 30 * DAY
    device_id = register("phone-1", seen)
    register("phone-2", now - DAY)
    with db.write() as session:
        activity = load(session, device_id).activity
        activity.last_active_at = activity.last_activity_at = FUTURE
        activity.last_upload_at = FUTURE
    Cli(app).succeed("prune", "--dry-run")
    assert all_times(db, device_id) == [FUTURE, FUTURE, FUTURE]
    assert "phone-1" in Cli(app).succeed("list").splitlines()[2]
    Cli(app).succeed("prune")
    assert all_times(db, device_id) == [seen, seen, seen]
    assert "phone-2" in Cli(app).succeed("list").splitlines()[2]


def test_prune_keeps_times_23_hours_ahead(
    app: Flask, db: Database, register: Register, now: datetime
) -> None:
    ahead = now + timedelta(hours=23)
    device_id = register("phone-1", ahead)
    devices.block(db, device_id, actor="ann", now=ahead)
    Cli(app).succeed("prune")
    device = devices.get(db, device_id)
    assert (device.first_seen_at, device.blocked_at) == (ahead, ahead)
    assert all_times(db, device_id) == [ahead, ahead, None]
    assert [entry.at for entry in devices.history(db, device_id)] == [ahead, ahead]


def test_prune_repairs_everything_that_a_host_with_a_wrong_clock_has_stored(
    app: Flask, db: Database, buffer: ActivityBuffer, register: Register, now: datetime
) -> None:
    before = now - DAY
    register("phone-1", before)
    wrong = register("phone-2", FUTURE)
    register("phone-3", FUTURE)
    devices.block(db, wrong, actor="ann", now=FUTURE)
    with db.write() as session:
        activity = load(session, wrong).activity
        activity.denied_count, activity.last_denied_at = 1, FUTURE
        session.execute(update(ApiToken).values(last_used_at=FUTURE))
    Cli(app).succeed("prune")
    device = devices.get(db, wrong)
    assert [entry.at for entry in devices.history(db, wrong)] == [before, before]
    assert (device.first_seen_at, device.activity.last_active_at) == (before, before)
    assert device.activity.last_activity_at == device.blocked_at
    assert device.blocked_at is not None
    assert device.activity.last_denied_at is not None
    assert abs(device.blocked_at - now) < timedelta(minutes=1)
    assert abs(device.activity.last_denied_at - now) < timedelta(minutes=1)
    assert [use.last_used_at for use in devices.tokens_used(db, wrong)] == [before]
    with db.read() as session:
        assert session.scalars(select(ApiToken.last_used_at)).all() == [before]
        assert all(at < FUTURE for at in session.scalars(select(AuditEntry.at)))


def test_pages_show_a_wrong_time_of_an_event_as_unknown(now: datetime) -> None:
    assert "time unknown" in times.element(FUTURE, now, is_past=True)
    assert "just now" in times.element(now + timedelta(hours=23), now, is_past=True)
    assert ">in " in times.element(FUTURE, now)
