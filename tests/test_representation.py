"""Devices and their history as JSON."""

from datetime import datetime, timedelta, timezone

from apidevices import devices
from apidevices.clock import now, rfc3339
from apidevices.database import Database
from apidevices.history_representation import history_json
from apidevices.representation import device_json
from tests.conftest import NOON, Register


def test_device_json_has_all_fields_in_order(db: Database, register: Register) -> None:
    device_id = register("phone-1", NOON, manufacturer="Apple", model="iPhone 14")
    fields = device_json(devices.get(db, device_id))
    assert list(fields.items()) == [
        ("id", device_id),
        ("identifier", "phone-1"),
        ("name", None),
        ("display_name", "phone-1"),
        ("application", None),
        ("application_version", None),
        ("os", None),
        ("os_version", None),
        ("manufacturer", "Apple"),
        ("model", "iPhone 14"),
        ("first_seen_at", "2030-05-17T12:00:00.000000Z"),
        ("last_active_at", "2030-05-17T12:00:00.000000Z"),
        ("last_upload_at", None),
        ("last_activity_at", "2030-05-17T12:00:00.000000Z"),
        ("blocked_at", None),
        ("block_reason", None),
        ("denied_count", 0),
        ("last_denied_at", None),
        ("status", "active"),
        ("tags", []),
        ("note", None),
        ("blocked_until", None),
        ("blocked_by", None),
        ("last_denied_address", None),
        ("shared", False),
        ("aliases", []),
        ("archived_at", None),
    ]


def test_device_json_of_a_blocked_device_has_time_and_reason(
    db: Database, register: Register
) -> None:
    device_id = register("phone-1", NOON)
    later = NOON + timedelta(hours=1)
    devices.block(db, device_id, reason="lost", actor="ann", now=later)
    devices.rename(db, device_id, "Box Office", actor="ann", now=later)
    fields = device_json(devices.get(db, device_id))
    assert fields["status"] == "blocked"
    assert fields["blocked_at"] == fields["last_activity_at"] == "2030-05-17T13:00:00.000000Z"
    assert fields["last_active_at"] == "2030-05-17T12:00:00.000000Z"
    assert fields["block_reason"] == "lost"
    assert fields["name"] == fields["display_name"] == "Box Office"


def test_history_json_has_old_and_new_values(db: Database, register: Register) -> None:
    register("phone-1", NOON, os="iOS", os_version="18")
    device_id = register("phone-1", NOON + timedelta(hours=1), os="iOS", os_version="26")
    changed, registered = (history_json(entry) for entry in devices.history(db, device_id))
    assert registered["kind"] == "registered"
    assert registered["changes"] == {
        "os": {"old": None, "new": "iOS"},
        "os_version": {"old": None, "new": "18"},
    }
    assert {key: changed[key] for key in ("kind", "at", "changes", "address")} == {
        "kind": "changed",
        "at": "2030-05-17T13:00:00.000000Z",
        "changes": {"os_version": {"old": "18", "new": "26"}},
        "address": "192.0.2.1",
    }
    assert changed["token"]["name"] == "registration"


def test_times_are_serialized_in_utc() -> None:
    assert rfc3339(None) is None
    east = datetime(2030, 5, 17, 14, 0, 0, 1, timezone(timedelta(hours=2)))
    assert rfc3339(east) == "2030-05-17T12:00:00.000001Z"


def test_clock_is_timezone_aware() -> None:
    assert now().utcoffset() == timedelta(0)
