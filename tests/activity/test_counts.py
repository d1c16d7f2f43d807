"""Daily counts of requests and denied requests, per device and of all devices."""

import time
from datetime import date, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, select

from apidevices import clock, devices
from apidevices.activity import ActivityBuffer, counts
from apidevices.database import Database
from apidevices.models import Device, DeviceDay, DeviceDenials, FleetDay
from tests.activity.conftest import NEVER, FlakyDatabase, activity
from tests.activity.test_forking import run_in_child
from tests.conftest import DEVICE, NOON, UPLOADS, Register, as_device, state_of

DAY = timedelta(days=1)
TODAY = NOON.date()


def device_days(db: Database) -> list[tuple[int, date, int, int]]:
    """Return the counts of devices: id, day, requests and uploads."""
    row = DeviceDay
    query = select(row.device_id, row.day, row.requests, row.uploads)
    with db.read() as session:
        found = session.execute(query.order_by(row.device_id, row.day))
        return [(id_, day, requests, uploads) for id_, day, requests, uploads in found]


def fleet_days(db: Database) -> dict[date, tuple[int, ...]]:
    """Return the counts of all devices: day -> requests, uploads, denied, registered."""
    row = FleetDay
    query = select(row.day, row.requests, row.uploads, row.denied, row.registered)
    with db.read() as session:
        return {day: tuple(numbers) for day, *numbers in session.execute(query)}


def denials(db: Database) -> list[DeviceDenials]:
    with db.read() as session:
        row = DeviceDenials
        return list(session.scalars(select(row).order_by(row.device_id, row.day)))


def test_requests_and_uploads_are_counted_per_device_and_day(
    db: Database, buffer: ActivityBuffer, register: Register
) -> None:
    first, second = register("phone-1"), register("phone-2")
    for at, upload in ((NOON - DAY, False), (NOON, False), (NOON, True)):
        buffer.record_request(first, None, at, upload=upload)
    buffer.record_request(second, None, NOON, upload=False)
    buffer.flush(counts=True)
    buffer.record_request(first, None, NOON, upload=True)
    buffer.flush(counts=True)
    expected = [(first, TODAY - DAY, 1, 0), (first, TODAY, 3, 2), (second, TODAY, 1, 0)]
    assert device_days(db) == expected
    totals = {day: numbers[:2] for day, numbers in fleet_days(db).items()}
    assert totals == {TODAY - DAY: (1, 0), TODAY: (4, 2)}


def test_requests_through_the_api_are_counted(
    app: Flask, client: FlaskClient, db: Database, token: str
) -> None:
    for identifier in ("phone-1", "phone-2"):
        assert client.get(DEVICE, headers=as_device(token, identifier)).status_code == 200
        assert client.post(UPLOADS, headers=as_device(token), json={}).status_code == 201
    device = devices.by_identifier(db, "phone-1")
    devices.block(db, device.id, actor="ann", now=clock.now())
    assert client.get(DEVICE, headers=as_device(token)).status_code == 403
    state_of(app).activity.flush(counts=True)
    [*_, today] = devices.activity_days(db, device.id, clock.now())
    assert today[1:] == (3, 2, 1)
    assert fleet_days(db) == {today.day: (4, 2, 1, 2)}


def test_counts_are_written_once_a_minute_and_denials_at_once(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    monkeypatch.setattr(counts, "monotonic", lambda: seconds[0])
    buffer = ActivityBuffer(db, interval=NEVER, limit=2)
    device_id = register("phone-1")
    written = []
    for seconds[0] in (60, 61, 119, 120):
        buffer.record_request(device_id, None, NOON, upload=False)
        buffer.record_denial(device_id, NOON)
        buffer.flush()
        [(*_, requests, _)] = device_days(db)
        [group] = denials(db)
        written.append((requests, fleet_days(db)[TODAY][2], group.denied))
    assert written == [(1, 1, 1), (1, 1, 2), (1, 1, 3), (4, 4, 4)]
    buffer.record_request(device_id, None, NOON, upload=False)
    buffer.close()
    assert device_days(db) == [(device_id, TODAY, 5, 0)]


def test_first_write_is_due_after_a_random_part_of_a_minute(db: Database) -> None:
    due = {counts.Counter(db, 1)._due - time.monotonic() for _ in range(9)}
    assert len(due) == 9
    assert all(-1 < seconds <= 60 for seconds in due)


def test_counts_of_a_failed_flush_are_written_once(
    flaky_db: FlakyDatabase, buffer: ActivityBuffer, register: Register
) -> None:
    device_id = register("phone-1")
    flaky_db.available = False
    for _ in range(2):
        buffer.record_request(device_id, None, NOON, upload=True)
        buffer.record_denial(device_id, NOON)
        buffer.flush(counts=True)
    flaky_db.available = True
    for _ in range(2):
        buffer.flush(counts=True)
    assert device_days(flaky_db) == [(device_id, TODAY, 2, 2)]
    assert fleet_days(flaky_db)[TODAY][:3] == (2, 2, 2)
    assert [group.denied for group in denials(flaky_db)] == [2]


def test_oldest_counts_over_the_limit_are_dropped(
    flaky_db: FlakyDatabase, buffer: ActivityBuffer, register: Register
) -> None:
    ids = [register(f"phone-{number}") for number in range(3)]
    flaky_db.available = False
    for device_id in ids:
        buffer.record_request(device_id, None, NOON, upload=True)
        buffer.flush(counts=True)
    flaky_db.available = True
    buffer.flush(counts=True)
    assert device_days(flaky_db) == [(device_id, TODAY, 1, 1) for device_id in ids[1:]]
    assert fleet_days(flaky_db)[TODAY][:2] == (2, 2)


def test_counts_of_many_devices_are_written_in_several_transactions(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "CHUNK", 2)
    buffer = ActivityBuffer(db, interval=NEVER, limit=10)
    ids = [register(f"phone-{number}") for number in range(5)]
    for device_id in ids:
        for upload in (True, False):
            buffer.record_request(device_id, None, NOON, upload=upload)
    buffer.close()
    assert device_days(db) == [(device_id, TODAY, 2, 1) for device_id in ids]
    assert fleet_days(db)[TODAY][:2] == (10, 5)


def test_late_counts_of_a_deleted_device_are_dropped(
    db: Database, buffer: ActivityBuffer, register: Register
) -> None:
    deleted, kept = register("phone-1"), register("phone-2")
    for device_id in (deleted, kept):
        buffer.record_request(device_id, None, NOON, upload=False)
        buffer.record_denial(device_id, NOON)
    devices.delete(db, deleted, actor="ann", now=NOON)
    buffer.flush(counts=True)
    assert device_days(db) == [(kept, TODAY, 1, 0)]
    assert [group.device_id for group in denials(db)] == [kept]


def test_forked_child_writes_no_counts_of_its_parent(
    db: Database, buffer: ActivityBuffer, register: Register
) -> None:
    device_id = register("phone-1")
    buffer.record_request(device_id, None, NOON, upload=False)

    def request_and_flush() -> None:
        buffer.record_request(device_id, None, NOON, upload=False)
        buffer.flush(counts=True)

    assert run_in_child(request_and_flush) == 0
    assert device_days(db) == [(device_id, TODAY, 1, 0)]
    buffer.flush(counts=True)
    assert device_days(db) == [(device_id, TODAY, 2, 0)]


@pytest.fixture
def normal_clock(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Don't trust times ahead of the database's clock. Return the current time."""
    monkeypatch.setattr(clock, "MAX_AHEAD", timedelta(days=1))
    monkeypatch.setattr(clock, "MAX_SKEW", timedelta(seconds=5))
    return clock.now()


def test_day_in_the_future_is_written_as_today(
    flaky_db: FlakyDatabase, normal_clock: datetime, register: Register
) -> None:
    buffer = ActivityBuffer(flaky_db, interval=NEVER, limit=9)
    device_id = register("phone-1", normal_clock)
    for ahead in (0, 2, 3000):
        buffer.record_request(device_id, None, normal_clock + ahead * DAY, upload=True)
        buffer.record_denial(device_id, normal_clock + ahead * DAY)
    buffer.close()
    today = normal_clock.date()
    assert device_days(flaky_db) == [(device_id, today, 3, 3)]
    assert fleet_days(flaky_db) == {today: (3, 3, 3, 1)}
    [group] = denials(flaky_db)
    assert (group.day, group.denied, group.first_at) == (today, 3, normal_clock)
    assert group.last_at < clock.now() + timedelta(seconds=5)


def test_registered_devices_are_counted_again_with_each_write(
    db: Database, normal_clock: datetime, register: Register
) -> None:
    buffer = ActivityBuffer(db, interval=NEVER, limit=9)
    yesterday, today = (normal_clock - DAY).date(), normal_clock.date()
    before = register("phone-0", normal_clock - DAY)
    device_id = register("phone-1", normal_clock)
    buffer.record_request(before, None, normal_clock - DAY, upload=False)
    buffer.record_request(device_id, None, normal_clock, upload=False)
    buffer.flush(counts=True)
    registered = {day: numbers[3] for day, numbers in fleet_days(db).items()}
    assert registered == {yesterday: 1, today: 1}
    register("phone-2", normal_clock)
    buffer.record_request(device_id, None, normal_clock, upload=False)
    buffer.close()
    assert fleet_days(db)[today][3] == 2


def test_denied_requests_of_a_day_are_one_group(
    db: Database, buffer: ActivityBuffer, register: Register, token_id: int
) -> None:
    device_id = register("phone-1")
    minute = timedelta(minutes=1)
    for at in (NOON + minute, NOON + 2 * minute, NOON):
        buffer.record_denial(device_id, at, token_id, f"192.0.2.{at.minute}")
    buffer.record_denial(device_id, NOON - DAY)
    buffer.flush()
    buffer.record_denial(device_id, NOON + minute, None, "192.0.2.9")
    buffer.flush()
    day_before, group = denials(db)
    assert (day_before.day, day_before.denied, day_before.address) == (TODAY - DAY, 1, None)
    assert (group.denied, group.first_at, group.last_at) == (4, NOON, NOON + 2 * minute)
    assert (group.address, group.token_id) == ("192.0.2.2", token_id)
    found = activity(db, device_id)
    assert (found.denied_count, found.last_denied_at) == (5, NOON + 2 * minute)


def test_counts_of_a_device_that_was_deleted_by_hand_do_not_fail_the_flush(
    db: Database, buffer: ActivityBuffer, register: Register
) -> None:
    deleted, kept = register("phone-1"), register("phone-2")
    for device_id in (deleted, kept):
        buffer.record_request(device_id, None, NOON, upload=False)
    with db.connect() as connection:
        connection.execute(delete(Device).where(Device.id == deleted))
    buffer.flush(counts=True)
    assert device_days(db) == [(kept, TODAY, 1, 0)]
