"""The history of a device as JSON, for the API, its description and the commands."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from apidevices.audit import END_OF_BLOCK
from apidevices.devices import Kind
from apidevices.models import DeviceHistory
from apidevices.representation import ResponseBody, Time, TokenJson


class ChangeJson(ResponseBody):
    """The old and new value of a field."""

    old: str | None = Field(description="The value before; null if there was none.")
    new: str | None = Field(description="The value after.")


def _old_and_new(pair: Sequence[str | None]) -> dict[str, str | None]:
    old, new = pair
    return {"old": old, "new": new}


class BlockDetailsJson(ResponseBody):
    """What an administrator said about a block."""

    reason: str | None = Field(None, description="The reason for the block.")
    until: Time | None = Field(
        None, description="Time when the block ends by itself; null for a block without an end."
    )


class MergedDeviceJson(ResponseBody):
    """A device that was merged into another one, as it was."""

    id: int = Field(
        validation_alias="merged", description="Its number, which no device has any more."
    )
    identifier: str = Field(description="Its identifier, which became an alias.")
    name: str | None = Field(description="The name that an administrator had assigned.")


class DeniedJson(ResponseBody):
    """The requests of a device that were denied on a UTC day."""

    count: int = Field(description="Number of requests.")
    first_at: Time = Field(description="Time of the first one. The last one is the entry's 'at'.")


class HistoryJson(ResponseBody):
    """What happened to a device."""

    id: int = Field(
        description="Number of the entry. For 'token_first_used', the number of the token with a"
        " minus sign in front. For 'denied', the UTC day, as in -20300517."
    )
    kind: Kind = Field(
        description="What happened. 'annotated' is a change of the note. 'denied' is one entry for"
        " all requests of a UTC day that were denied because the device was blocked, and changes"
        " until the day is over. More kinds may follow: ignore those that you don't know."
    )
    at: Time = Field(description="When it happened.")
    changes: dict[str, Annotated[ChangeJson, BeforeValidator(_old_and_new)]] = Field(
        description="The changed fields by name."
    )
    tags: list[str] = Field(description="The tags that were added or removed.")
    merged: MergedDeviceJson | None = Field(
        description="The device that was merged into this one; null for entries of another kind."
    )
    alias: str | None = Field(
        description="The alias that was removed; null for entries of another kind."
    )
    token: TokenJson | None = Field(
        description="The token of the request that reported the change, or of the last denied"
        " request, or that was first used."
    )
    address: str | None = Field(description="The client IP address of that request.")
    actor: str | None = Field(
        description="Who changed or blocked the device. For a block that ended by itself:"
        f" '{END_OF_BLOCK}'."
    )
    details: BlockDetailsJson | None = Field(
        validation_alias="block_details",
        description="Reason and end of the block; null for entries of another kind.",
    )
    denied: DeniedJson | None = Field(
        validation_alias="denied_details",
        description="Number and first time of the denied requests; null for entries of another"
        " kind.",
    )


class HistoryPage(ResponseBody):
    """A page of a device's history, newest first."""

    history: list[HistoryJson] = Field(description="At most 50 entries.")
    next: str | None = Field(
        description="URL of the next page, also sent in the Link header; null on the last page."
    )


def history_json(entry: DeviceHistory) -> dict[str, Any]:
    """Return the JSON representation of a history entry."""
    return HistoryJson.model_validate(entry).model_dump()
