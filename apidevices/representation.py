"""Devices and their history as JSON: one form for the API, its description and the command line."""

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from apidevices.clock import rfc3339
from apidevices.identity import DETAILS
from apidevices.models import Device, DeviceHistory

Time = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    Field(json_schema_extra={"format": "date-time"}),
]
"""A time, written as RFC 3339, UTC, with ``Z``."""


class _Answer(BaseModel):
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class DeviceJson(_Answer):
    """A device."""

    id: int
    identifier: str = Field(description="What the device sends in X-Device-ID.")
    name: str | None = Field(description="The name that an administrator gave.")
    display_name: str = Field(description="The name, or the identifier where there is none.")
    application: str | None
    application_version: str | None
    os: str | None
    os_version: str | None
    manufacturer: str | None
    model: str | None
    first_seen_at: Time
    last_active_at: Time
    last_upload_at: Time | None = Field(description="When it last made a POST.")
    last_activity_at: Time = Field(description="blocked_at while blocked, else last_active_at.")
    blocked_at: Time | None
    block_reason: str | None
    denied_count: int
    last_denied_at: Time | None
    status: Literal["active", "blocked"]


class DevicePage(_Answer):
    """A page of the list, most recently active first."""

    devices: list[DeviceJson]
    next: str | None = Field(description="The address of the next page; also in Link.")


class ChangeJson(_Answer):
    """What a field was before and after."""

    old: str | None
    new: str | None


class TokenJson(_Answer):
    """A token, by its name."""

    id: int
    name: str


class HistoryJson(_Answer):
    """Something new that a device said of itself."""

    id: int
    kind: Literal["registered", "changed"]
    at: Time
    changes: dict[str, ChangeJson]
    token: TokenJson | None = Field(description="The token that it came with.")
    address: str | None = Field(description="Where it came from.")


class HistoryPage(_Answer):
    """A page of a device's history, newest first."""

    history: list[HistoryJson]
    next: str | None = Field(description="The address of the next page; also in Link.")


class UploadJson(_Answer):
    """An upload that was stored."""

    id: int
    received_at: Time


class BlockedJson(_Answer):
    """What became of the devices that were to be blocked."""

    blocked: list[int] = Field(description="Blocked now, be it for longer.")
    not_found: list[int] = Field(description="There are no such devices.")


def device_json(device: Device) -> dict[str, Any]:
    """Return a device as every JSON answer gives it."""
    activity = device.activity
    return DeviceJson(
        id=device.id,
        identifier=device.identifier,
        name=device.name,
        display_name=device.display_name,
        **{field: getattr(device, field) for field in DETAILS},
        first_seen_at=device.first_seen_at,
        last_active_at=activity.last_active_at,
        last_upload_at=activity.last_upload_at,
        last_activity_at=activity.last_activity_at,
        blocked_at=device.blocked_at,
        block_reason=device.block_reason,
        denied_count=activity.denied_count,
        last_denied_at=activity.last_denied_at,
        status=device.status,
    ).model_dump()


def version(device: Device) -> str:
    """Return what is another one, in an ``ETag``, once somebody has changed a device.

    What the device does by itself does not count: it may call at any time, and whoever wants to
    change it only if nobody else has would never come to it.
    """
    state = [device.id, device.name, rfc3339(device.blocked_at), device.block_reason]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]


def history_json(entry: DeviceHistory) -> dict[str, Any]:
    """Return an entry of a device's history; ``changes`` has old and new value of each field."""
    return HistoryJson(
        id=entry.id,
        kind="registered" if entry.kind == "registered" else "changed",
        at=entry.at,
        changes={
            field: ChangeJson(old=old, new=new) for field, (old, new) in entry.changes.items()
        },
        token=TokenJson(id=entry.token.id, name=entry.token.name) if entry.token else None,
        address=entry.address,
    ).model_dump()
