"""Devices, tokens and the audit log as JSON, for the API, its description and the commands."""

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasPath, BaseModel, ConfigDict, Field, PlainSerializer

from apidevices.clock import rfc3339
from apidevices.models import ApiToken, AuditEntry, Device
from apidevices.overview import Counted, Overview
from apidevices.storage import Counted as CountedStorage
from apidevices.storage import Storage

Time = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    Field(json_schema_extra={"format": "date-time"}),
]
"""A timestamp, serialized as RFC 3339 in UTC with ``Z``."""


class ResponseBody(BaseModel):
    """A JSON response body."""

    model_config = ConfigDict(from_attributes=True, json_schema_mode_override="serialization")


def _activity_field(name: str, description: str | None = None) -> Any:
    """Return a field that is stored in the device's activity row."""
    return Field(validation_alias=AliasPath("activity", name), description=description)


class OwnDeviceJson(ResponseBody):
    """A device, as it sees itself: without what is meant for administrators.

    Anybody with a token can send the identifier of another device.
    """

    id: int = Field(description="Number of the device in URLs.")
    identifier: str = Field(description="The identifier that the device sends in X-Device-ID.")
    name: str | None = Field(description="The name that an administrator assigned.")
    display_name: str = Field(description="The name, or the identifier if there is no name.")
    application: str | None = Field(description="Name of the application, as last reported.")
    application_version: str | None = Field(description="Version of the application.")
    os: str | None = Field(description="Operating system.")
    os_version: str | None = Field(description="Version of the operating system.")
    manufacturer: str | None = Field(description="Manufacturer of the device.")
    model: str | None = Field(description="Model of the device.")
    first_seen_at: Time = Field(description="Time when the device was registered.")
    last_active_at: Time = _activity_field("last_active_at", "Time of the last allowed request.")
    last_upload_at: Time | None = _activity_field(
        "last_upload_at", "Time of the last allowed POST request."
    )
    last_activity_at: Time = _activity_field(
        "last_activity_at", "blocked_at for a blocked device, otherwise last_active_at."
    )
    blocked_at: Time | None = Field(
        description="Time when the device was blocked; null if it is not blocked."
    )
    block_reason: str | None = Field(description="The reason that the administrator gave.")
    denied_count: int = _activity_field(
        "denied_count", "Number of requests denied because the device was blocked."
    )
    last_denied_at: Time | None = _activity_field(
        "last_denied_at", "Time of the last request denied because the device was blocked."
    )
    status: Literal["active", "blocked"] = Field(description="Whether requests are denied.")


class DeviceJson(OwnDeviceJson):
    """A device."""

    tags: list[str] = Field(description="The tags that administrators gave it, in order.")
    note: str | None = Field(description="The note of administrators, with line breaks.")
    blocked_until: Time | None = Field(
        description="Time when the block ends by itself; null for a block without an end."
    )
    blocked_by: str | None = Field(description="Who blocked the device.")
    last_denied_address: str | None = _activity_field(
        "last_denied_address",
        "The client IP address of the last request denied because the device was blocked.",
    )
    shared: bool = Field(
        description="Whether it may be several devices that send the same identifier."
    )
    aliases: list[str] = Field(
        description="Identifiers of devices that were merged into it. Requests with them are its"
        " own."
    )
    archived_at: Time | None = _activity_field(
        "archived_at",
        "Time when the device was archived; null if it is not, or has sent a request since.",
    )


class DevicePage(ResponseBody):
    """A page of devices, most recently active first."""

    devices: list[DeviceJson] = Field(description="At most 50 devices.")
    next: str | None = Field(
        description="URL of the next page, also sent in the Link header; null on the last page."
    )


class TokenJson(ResponseBody):
    """The token that a request used."""

    id: int = Field(description="Number of the token, for the filter `token`.")
    name: str = Field(description="The name that an administrator gave it.")


class ListedTokenJson(TokenJson):
    """A token with its properties, but not the token itself."""

    prefix: str
    scopes: list[str]
    created_at: Time
    created_by: str | None = Field(description="Null for tokens of older versions.")
    last_used_at: Time | None
    expires_at: Time | None
    requires_device_id: bool
    new_devices_per_hour: int | None


class AuditJson(ResponseBody):
    """An entry of the audit log."""

    id: int
    at: Time
    actor: str
    action: str
    subject: str
    details: dict[str, Any]


_NOT_FOUND = "IDs that belong to no device."


class BlockedJson(ResponseBody):
    """The result of blocking several devices."""

    blocked: list[int] = Field(
        description="IDs of the blocked devices, including those that were already blocked."
    )
    not_found: list[int] = Field(description=_NOT_FOUND)


class UnblockedJson(ResponseBody):
    """The result of unblocking several devices."""

    unblocked: list[int] = Field(
        description="IDs of the devices, including those that were not blocked."
    )
    not_found: list[int] = Field(description=_NOT_FOUND)


class TaggedJson(ResponseBody):
    """The result of tagging several devices."""

    tagged: list[int] = Field(
        description="IDs of the devices, including those that already had the tags."
    )
    not_found: list[int] = Field(description=_NOT_FOUND)


class UntaggedJson(ResponseBody):
    """The result of removing tags from several devices."""

    untagged: list[int] = Field(
        description="IDs of the devices, including those that did not have the tags."
    )
    not_found: list[int] = Field(description=_NOT_FOUND)


class ArchivedJson(ResponseBody):
    """The result of archiving several devices."""

    archived: list[int] = Field(
        description="IDs of the archived devices, including those that were already archived."
    )
    not_found: list[int] = Field(description=_NOT_FOUND)


class UnarchivedJson(ResponseBody):
    """The result of bringing several devices back from the archive."""

    unarchived: list[int] = Field(
        description="IDs of the devices, including those that were not archived."
    )
    not_found: list[int] = Field(description=_NOT_FOUND)


class DeletedJson(ResponseBody):
    """The result of deleting several devices."""

    deleted: list[int] = Field(description="IDs of the deleted devices.")
    not_found: list[int] = Field(description=_NOT_FOUND)


def own_device_json(device: Device) -> dict[str, Any]:
    """Return the JSON representation of a device for the device itself."""
    return OwnDeviceJson.model_validate(device).model_dump()


def device_json(device: Device) -> dict[str, Any]:
    """Return the JSON representation of a device."""
    return DeviceJson.model_validate(device).model_dump()


def etag(device: Device) -> str:
    """Return the ``ETag`` value of a device, which changes whenever an administrator changes it.

    Activity and reported details are left out: the device can send requests at any time, so a
    conditional update of a busy device would never succeed.
    """
    state = [
        *(device.id, device.name, device.note, device.tags, device.aliases),
        *(rfc3339(device.blocked_at), device.block_reason, rfc3339(device.blocked_until)),
    ]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]


def token_json(token: ApiToken, now: datetime) -> dict[str, Any]:
    """Return the JSON representation of a token with its status at a time."""
    fields = ListedTokenJson.model_validate(token).model_dump()
    return {**fields, "status": token.status_at(now)}


def audit_json(entry: AuditEntry) -> dict[str, Any]:
    """Return the JSON representation of an entry of the audit log."""
    return AuditJson.model_validate(entry).model_dump()


class OverviewJson(Overview):
    """Figures of all devices."""

    taken_at: Time = Field(description="Time at which the figures were right.")


class StorageJson(Storage):
    """What is kept, for how long, and how much space it takes."""

    last_run_at: Time | None = Field(
        description="When old entries were last deleted in the background; null if never."
    )
    taken_at: Time = Field(description="Time at which the figures were right.")


def storage_json(counted: CountedStorage) -> dict[str, Any]:
    """Return what is kept as JSON."""
    body = StorageJson(taken_at=counted.taken_at, **dict(counted.storage))
    return body.model_dump(mode="json")


def overview_json(counted: Counted) -> dict[str, Any]:
    """Return the overview as JSON."""
    body = OverviewJson(taken_at=counted.taken_at, **dict(counted.overview))
    return body.model_dump(mode="json")
