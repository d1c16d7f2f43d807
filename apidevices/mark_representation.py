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

    application: str | None = Field(description="Name of the application.")
    application_version: str | None = Field(description="Version of the application.")
    os: str | None = Field(description="Operating system.")
    os_version: str | None = Field(description="Version of the operating system.")
    manufacturer: str | None = Field(description="Manufacturer of the device.")
    model: str | None = Field(description="Model of the device.")


class SeenSetJson(ResponseBody):
    """The details of one of several devices with the same identifier."""

    details: SetDetailsJson = Field(description="What the device reports about itself.")
    last_seen_at: Time = Field(description="Time of the latest report that was stored.")
    address: str | None = Field(description="The client IP address of the latest report.")
    token: TokenJson | None = Field(description="The token of the latest report.")


class MarkJson(ResponseBody):
    """What a device seems to be, with the evidence."""

    id: int = _stored("id", "Number of the mark.")
    kind: MarkKind = _stored(
        "kind",
        "'shared': several devices send this identifier. 'twin': 'other_id' before a reinstall of"
        " the application. 'blocked_again': 'other_id', which was blocked shortly before. More"
        " kinds may follow: ignore those that you don't know.",
    )
    device_id: int = _stored("device_id", "Number of the device that is marked.")
    identifier: str = Field(
        validation_alias=AliasPath("device", "identifier"),
        description="Identifier of the device that is marked.",
    )
    other_id: int | None = _stored("other_id", "Number of the other device of a pair.")
    other_identifier: str | None = Field(description="Identifier of the other device of a pair.")
    first_at: Time = _stored("first_at", "Time when the device was marked.")
    last_at: Time = _stored("last_at", "Time when it was last confirmed.")
    count: int = _stored("count", "How often it was confirmed: for 'shared', at least this often.")
    sets: list[SeenSetJson] = Field(
        description="For 'shared': the details of each device, as last seen, the latest first."
    )
    address: str | None = Field(
        description="The client IP address that both devices of a pair had, if it is the same."
    )
    token: TokenJson | None = Field(
        description="A token that both devices of a pair have used, if they need tokens."
    )
    gap_seconds: int | None = Field(
        description="For 'twin': seconds between the last request of the other device and the first"
        " one of this device."
    )


class MarkList(ResponseBody):
    """The marks of a device that were not dismissed."""

    marks: list[MarkJson] = Field(description="Oldest first.")


class SuggestionPage(ResponseBody):
    """A page of pairs of devices that may be one, newest first."""

    suggestions: list[MarkJson] = Field(description="At most 50 pairs.")
    next: str | None = Field(
        description="URL of the next page, also sent in the Link header; null on the last page."
    )


def mark_json(mark: Mark) -> dict[str, Any]:
    """Return the JSON representation of a mark."""
    return MarkJson.model_validate(mark).model_dump()
