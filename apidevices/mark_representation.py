"""Marks of devices as JSON, for the API, its description and the commands."""

from typing import Any

from pydantic import AliasPath, Field

from apidevices.devices import Mark
from apidevices.models import MarkKind
from apidevices.representation import ResponseBody, Time, TokenJson


def _stored(name: str, description: str | None = None) -> Any:
    """Return a field that is stored in the mark's row."""
    return Field(validation_alias=AliasPath("stored", name), description=description)


class SetDetailsJson(ResponseBody):
    """Details that a device has reported."""

    application: str | None
    application_version: str | None
    os: str | None
    os_version: str | None
    manufacturer: str | None
    model: str | None


class SeenSetJson(ResponseBody):
    """The details of one of several devices with the same identifier."""

    details: SetDetailsJson
    last_seen_at: Time
    address: str | None = Field(description="The client IP address of the latest report.")
    token: TokenJson | None = Field(description="The token of the latest report.")


class MarkJson(ResponseBody):
    """What a device seems to be, with the evidence."""

    id: int = _stored("id", "Number of the mark.")
    kind: MarkKind = _stored(
        "kind",
        "'shared': several devices send this identifier. More kinds may follow: ignore those that"
        " you don't know.",
    )
    device_id: int = _stored("device_id", "Number of the device that is marked.")
    other_id: int | None = _stored("other_id", "Number of the other device of a pair.")
    first_at: Time = _stored("first_at", "Time when the device was marked.")
    last_at: Time = _stored("last_at", "Time when it was last confirmed.")
    count: int = _stored("count", "How often it was confirmed: for 'shared', at least this often.")
    sets: list[SeenSetJson] = Field(
        description="For 'shared': the details of each device, as last seen, the latest first."
    )


class MarkList(ResponseBody):
    """The marks of a device that were not dismissed."""

    marks: list[MarkJson]


def mark_json(mark: Mark) -> dict[str, Any]:
    """Return the JSON representation of a mark."""
    return MarkJson.model_validate(mark).model_dump()
