"""Devices and their history as JSON: one form for the API and for the command line."""

from typing import Any

from apidevices.clock import rfc3339
from apidevices.identity import DETAILS
from apidevices.models import Device, DeviceHistory


def device_json(device: Device) -> dict[str, Any]:
    """Return a device as every JSON answer gives it."""
    activity = device.activity
    return {
        "id": device.id,
        "identifier": device.identifier,
        "name": device.name,
        "display_name": device.display_name,
        **{field: getattr(device, field) for field in DETAILS},
        "first_seen_at": rfc3339(device.first_seen_at),
        "last_active_at": rfc3339(activity.last_active_at),
        "last_upload_at": rfc3339(activity.last_upload_at),
        "last_activity_at": rfc3339(activity.last_activity_at),
        "blocked_at": rfc3339(device.blocked_at),
        "block_reason": device.block_reason,
        "denied_count": activity.denied_count,
        "last_denied_at": rfc3339(activity.last_denied_at),
        "status": device.status,
    }


def history_json(entry: DeviceHistory) -> dict[str, Any]:
    """Return an entry of a device's history; ``changes`` has old and new value of each field."""
    return {
        "id": entry.id,
        "kind": entry.kind,
        "at": rfc3339(entry.at),
        "changes": {field: {"old": old, "new": new} for field, (old, new) in entry.changes.items()},
        "token": {"id": entry.token.id, "name": entry.token.name} if entry.token else None,
        "address": entry.address,
    }
