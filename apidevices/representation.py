"""Devices and their history as JSON: one form for the API, its description and the command line."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from apidevices.clock import rfc3339
from apidevices.models import Device, DeviceHistory

Time = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    Field(json_schema_extra={"format": "date-time"}),
]
"""A time, written as RFC 3339, UTC, with ``Z``."""


class Answer(BaseModel):
    """A JSON answer."""

    model_config = ConfigDict(from_attributes=True, json_schema_mode_override="serialization")


def _of_activity(name: str, description: str | None = None) -> Any:
    """Return a field that is kept with the activity of a device."""
    return Field(validation_alias=AliasPath("activity", name), description=description)


class DeviceJson(Answer):
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
    last_active_at: Time = _of_activity("last_active_at")
    last_upload_at: Time | None = _of_activity("last_upload_at", "When it last made a POST.")
    last_activity_at: Time = _of_activity(
        "last_activity_at", "blocked_at while blocked, else last_active_at."
    )
    blocked_at: Time | None
    block_reason: str | None
    denied_count: int = _of_activity("denied_count")
    last_denied_at: Time | None = _of_activity("last_denied_at")
    status: Literal["active", "blocked"]


class DevicePage(Answer):
    """A page of the list, most recently active first."""

    devices: list[DeviceJson]
    next: str | None = Field(description="The address of the next page; also in Link.")


class ChangeJson(Answer):
    """What a field was before and after."""

    old: str | None
    new: str | None


def _old_and_new(pair: Sequence[str | None]) -> dict[str, str | None]:
    old, new = pair
    return {"old": old, "new": new}


class TokenJson(Answer):
    """A token, by its name."""

    id: int
    name: str


class HistoryJson(Answer):
    """Something new that a device said of itself."""

    id: int
    kind: Literal["registered", "changed"]
    at: Time
    changes: dict[str, Annotated[ChangeJson, BeforeValidator(_old_and_new)]]
    token: TokenJson | None = Field(description="The token that it came with.")
    address: str | None = Field(description="Where it came from.")


class HistoryPage(Answer):
    """A page of a device's history, newest first."""

    history: list[HistoryJson]
    next: str | None = Field(description="The address of the next page; also in Link.")


class BlockedJson(Answer):
    """What became of the devices that were to be blocked."""

    blocked: list[int] = Field(description="Blocked now, be it for longer.")
    not_found: list[int] = Field(description="There are no such devices.")


def device_json(device: Device) -> dict[str, Any]:
    """Return a device as every JSON answer gives it."""
    return DeviceJson.model_validate(device).model_dump()


def version(device: Device) -> str:
    """Return what is another one, in an ``ETag``, once somebody has changed a device.

    What the device does by itself does not count: it may call at any time, and whoever wants to
    change it only if nobody else has would never come to it.
    """
    state = [device.id, device.name, rfc3339(device.blocked_at), device.block_reason]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]


def history_json(entry: DeviceHistory) -> dict[str, Any]:
    """Return an entry of a device's history; ``changes`` has old and new value of each field."""
    return HistoryJson.model_validate(entry).model_dump()
