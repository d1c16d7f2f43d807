"""The management API for single devices: list, change, block, unblock and delete them."""

from typing import Annotated, Any

from flask import request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from apidevices import clock, devices, listing, state
from apidevices.api.description import WITH_BODY, described
from apidevices.api.frame import (
    DEVICES,
    IF_MATCH,
    KEEP_BLOCK,
    READ,
    TAG,
    WRITE,
    Body,
    Reason,
    Request,
    blueprint,
    change_args,
)
from apidevices.api.requests import parse_body, parse_query
from apidevices.fields import DeviceTags, Moment, RowId
from apidevices.history_representation import HistoryPage, history_json
from apidevices.listing import CURSOR_PATTERN, SORTS, Cursor, Filters, Sort
from apidevices.models import Device
from apidevices.representation import (
    DeviceJson,
    DevicePage,
    device_json,
    etag,
)
from apidevices.text import MAX_LENGTH

DEVICE = f"{DEVICES}/<int:device_id>"

MAX_IDS = 1_000
"""The maximum number of ids in a request."""

_ListCursor = Annotated[str, Field(pattern=CURSOR_PATTERN)]
_HistoryCursor = Annotated[str, Field(pattern=devices.CURSOR_PATTERN)]
_Kinds = Annotated[
    tuple[devices.Kind, ...],
    Field(max_length=len(devices.KINDS)),
    BeforeValidator(lambda values: tuple(values) if isinstance(values, list) else values),
]
_CURSOR = "The cursor of the page, taken from the 'next' URL."


class ListQuery(Filters):
    """Filters, order and cursor of the device list."""

    sort: Sort = Field("activity", description=SORTS)
    cursor: _ListCursor | None = Field(None, description=_CURSOR)

    @property
    def filters(self) -> Filters:
        """The filters alone."""
        return Filters.model_validate(self.model_dump(exclude={"cursor", "sort"}))


class HistoryQuery(Request):
    """Kinds of entries, and cursor of a device history."""

    kind: _Kinds = Field(
        default=(), description="Keeps entries of this kind. Repeat it to keep several kinds."
    )
    cursor: _HistoryCursor | None = Field(None, description=_CURSOR)


class DeviceChanges(Body):
    """What to change; everything else stays as it is."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    name: str | None = Field(
        None,
        max_length=MAX_LENGTH,
        description="The new name; null or an empty string removes it.",
        examples=["Main entrance"],
    )
    note: str | None = Field(
        None,
        max_length=devices.MAX_NOTE,
        description="The new note; null or an empty string removes it.",
    )
    tags: DeviceTags = Field(
        default_factory=list, description="The new tags, which replace the present ones."
    )

    @model_validator(mode="after")
    def _some(self) -> "DeviceChanges":
        if not self.model_fields_set:
            raise ValueError("must contain 'name', 'note' or 'tags'")
        return self

    @property
    def values(self) -> dict[str, Any]:
        """The arguments of ``devices.describe``."""
        sent = self.model_dump(include=self.model_fields_set)
        return {field: "" if value is None else value for field, value in sent.items()}


class Block(Body):
    """Reason and end of a block, and tokens to revoke with it."""

    reason: Reason = None
    until: Moment | None = Field(
        None,
        description="Time when the block ends by itself; null for a block without an end. For a"
        " device that is blocked already, this changes the end, and the reason if there is one.",
    )
    revoke_tokens: list[RowId] = Field(
        default_factory=list,
        max_length=MAX_IDS,
        description="IDs of tokens that the device has used, to revoke in the same transaction.",
    )


class DeleteQuery(Request):
    """How to delete a device."""

    keep_block: bool = Field(False, description=KEEP_BLOCK)


@blueprint.get(DEVICES)
@described(DevicePage, 400, 422, tag=TAG, scope=READ, query=ListQuery)
def list_devices() -> ResponseReturnValue:
    """List devices, by default the most recently active first."""
    query = parse_query(ListQuery)
    page = listing.page(
        state.database(),
        query.filters,
        Cursor.parse(query.cursor, query.sort) if query.cursor else None,
        sort=query.sort,
        now=clock.now(),
    )
    return page_response("devices", [device_json(device) for device in page.devices], page.older)


@blueprint.get(DEVICE)
@described(DeviceJson, 400, 404, tag=TAG, scope=READ)
def get_device(device_id: int) -> ResponseReturnValue:
    """Get a device."""
    return device_response(devices.get(state.database(), device_id))


@blueprint.get(f"{DEVICE}/history")
@described(HistoryPage, 400, 404, 422, tag=TAG, scope=READ, query=HistoryQuery)
def get_device_history(device_id: int) -> ResponseReturnValue:
    """Get the history of a device, newest first: what it reported, and what was done to it."""
    query = parse_query(HistoryQuery)
    db = state.database()
    devices.get(db, device_id)
    cursor = devices.HistoryCursor.parse(query.cursor) if query.cursor else None
    entries, older = devices.history_page(db, device_id, cursor, kinds=query.kind)
    return page_response("history", list(map(history_json, entries)), older)


@blueprint.patch(DEVICE)
@described(
    DeviceJson, 404, 412, *WITH_BODY, tag=TAG, scope=WRITE, body=DeviceChanges, headers=IF_MATCH
)
def update_device(device_id: int) -> ResponseReturnValue:
    """Change the name, the note or the tags of a device."""
    changes = parse_body(DeviceChanges).values
    return device_response(
        devices.describe(state.database(), device_id, **changes, **change_args())
    )


@blueprint.post(f"{DEVICE}/block")
@described(
    DeviceJson,
    404,
    412,
    *WITH_BODY,
    tag=TAG,
    scope=WRITE,
    body=Block,
    body_required=False,
    headers=IF_MATCH,
)
def block_device(device_id: int) -> ResponseReturnValue:
    """Block a device. Idempotent."""
    body = parse_body(Block, optional=True)
    blocked = devices.block(
        state.database(),
        device_id,
        reason=body.reason,
        until=body.until if "until" in body.model_fields_set else devices.Until.UNCHANGED,
        revoke_tokens=body.revoke_tokens,
        **change_args(),
    )
    return device_response(blocked)


@blueprint.post(f"{DEVICE}/unblock")
@described(DeviceJson, 400, 404, 412, tag=TAG, scope=WRITE, headers=IF_MATCH)
def unblock_device(device_id: int) -> ResponseReturnValue:
    """Unblock a device. Idempotent."""
    return device_response(devices.unblock(state.database(), device_id, **change_args()))


@blueprint.delete(DEVICE)
@described(
    None,
    400,
    404,
    412,
    422,
    tag=TAG,
    scope=WRITE,
    query=DeleteQuery,
    headers=IF_MATCH,
    status=204,
)
def delete_device(device_id: int) -> ResponseReturnValue:
    """Delete a device and everything that is stored about it."""
    query = parse_query(DeleteQuery)
    devices.delete(state.database(), device_id, keep_block=query.keep_block, **change_args())
    return "", 204


def device_response(device: Device) -> ResponseReturnValue:
    """Return a device with its ``ETag``."""
    return device_json(device), {"ETag": f'"{etag(device)}"'}


def page_response(key: str, rows: list[dict[str, Any]], cursor: object) -> ResponseReturnValue:
    """Return a page, with the next page's URL in the body and in the ``Link`` header."""
    if cursor is None:
        return {key: rows, "next": None}
    arguments = {
        **(request.view_args or {}),
        **request.args.to_dict(flat=False),
        "cursor": str(cursor),
    }
    next_url = url_for(str(request.endpoint), **arguments, _external=True)
    return {key: rows, "next": next_url}, {"Link": f'<{next_url}>; rel="next"'}
