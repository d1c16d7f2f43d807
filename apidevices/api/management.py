"""What programs of administrators call: devices as JSON, with a token that has the scope."""

import json
from typing import Annotated, Any, TypeVar

from flask import current_app, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)
from pydantic.json_schema import SkipJsonSchema
from werkzeug.exceptions import (
    BadRequest,
    NotFound,
    UnprocessableEntity,
    UnsupportedMediaType,
)

from apidevices import clock, devices, listing, state
from apidevices.api.openapi import OF_A_BODY, described
from apidevices.api.root import blueprint, read_body
from apidevices.errors import InsufficientScope, PreconditionFailed, TokenMissing
from apidevices.listing import Cursor, Filters
from apidevices.models import MAX_ID, Device
from apidevices.representation import (
    BlockedJson,
    DeviceJson,
    DevicePage,
    HistoryPage,
    device_json,
    history_json,
    version,
)
from apidevices.request_hook import current_caller
from apidevices.text import MAX_LENGTH

TAG = "Management"
MAX_AT_ONCE = 1_000

DEVICES = "/v1/devices"
DEVICE = f"{DEVICES}/<int:device_id>"


def _whole(number: object) -> object:
    """Take 7.0 for what it is in JSON: an integer."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


_RowId = Annotated[int, Field(ge=0, le=MAX_ID), BeforeValidator(_whole)]
_ListCursor = Annotated[str, Field(pattern="^(older|newer)-[0-9]{1,17}-[0-9]{1,18}$")]
_CURSOR = "The page: as it is in the address that 'next' gives."


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Body(_Asked):
    model_config = ConfigDict(strict=True)


class ListQuery(_Asked):
    """The list's filters, and the page."""

    name: str = Field("", description="Part of the name or identifier, in any case.")
    status: listing.Status = Field("all", description="'active' leaves out the blocked ones.")
    cursor: _ListCursor | SkipJsonSchema[None] = Field(None, description=_CURSOR)


class HistoryQuery(_Asked):
    """The page of a history."""

    cursor: _RowId | SkipJsonSchema[None] = Field(None, description=_CURSOR)


class Rename(_Body):
    """The name to give; null or empty returns the device to its identifier."""

    name: str | None = Field(max_length=MAX_LENGTH)


class Block(_Body):
    """Why the device is blocked."""

    reason: str | None = Field(None, max_length=devices.MAX_REASON)


class BlockAll(Block):
    """Which devices are blocked, and why."""

    ids: list[_RowId] = Field(min_length=1, max_length=MAX_AT_ONCE)


IF_MATCH = create_model(
    "IfMatch",
    if_match=(
        str,
        Field(
            None,
            alias="If-Match",
            description="The ETag of the device as you saw it; 412 if it was changed since.",
        ),
    ),
)


@blueprint.get(DEVICES)
@described(DevicePage, 400, 422, tag=TAG, query=ListQuery)
def list_devices() -> ResponseReturnValue:
    """List devices, most recently active first, narrowed as on the page for people."""
    _actor("devices:read")
    query = _checked(ListQuery, request.args.to_dict())
    page = listing.page(
        state.database(),
        Filters(query.name, query.status),
        Cursor.parse(query.cursor) if query.cursor else None,
    )
    return _page("devices", [device_json(device) for device in page.devices], page.older)


@blueprint.get(DEVICE)
@described(DeviceJson, 400, 404, tag=TAG)
def get_device(device_id: int) -> ResponseReturnValue:
    """Show one device."""
    _actor("devices:read")
    return _answer(devices.get(state.database(), device_id))


@blueprint.get(f"{DEVICE}/history")
@described(HistoryPage, 400, 404, 422, tag=TAG, query=HistoryQuery)
def get_device_history(device_id: int) -> ResponseReturnValue:
    """Show what a device said of itself over time, newest first."""
    _actor("devices:read")
    query = _checked(HistoryQuery, request.args.to_dict())
    db = state.database()
    devices.get(db, device_id)
    entries, older = devices.history_page(db, device_id, query.cursor)
    return _page("history", list(map(history_json, entries)), older)


@blueprint.patch(DEVICE)
@described(DeviceJson, 404, 412, *OF_A_BODY, tag=TAG, json=Rename, headers=IF_MATCH)
def rename_device(device_id: int) -> ResponseReturnValue:
    """Rename a device."""
    actor = _actor("devices:write")
    body = _checked(Rename, _json_body())
    return _answer(devices.rename(state.database(), device_id, body.name or "", **_by(actor)))


@blueprint.post(f"{DEVICE}/block")
@described(DeviceJson, 404, 412, *OF_A_BODY, tag=TAG, json=Block, headers=IF_MATCH)
def block_device(device_id: int) -> ResponseReturnValue:
    """Block a device; again changes nothing."""
    actor = _actor("devices:write")
    body = _checked(Block, _json_body() if read_body() else {})
    return _answer(devices.block(state.database(), device_id, reason=body.reason, **_by(actor)))


@blueprint.post(f"{DEVICE}/unblock")
@described(DeviceJson, 400, 404, 412, tag=TAG, headers=IF_MATCH)
def unblock_device(device_id: int) -> ResponseReturnValue:
    """Unblock a device; again changes nothing."""
    actor = _actor("devices:write")
    return _answer(devices.unblock(state.database(), device_id, **_by(actor)))


@blueprint.post(f"{DEVICES}/block")
@described(BlockedJson, *OF_A_BODY, tag=TAG, json=BlockAll)
def block_devices() -> ResponseReturnValue:
    """Block up to 1,000 devices, all at once; again changes nothing."""
    actor = _actor("devices:write")
    body = _checked(BlockAll, _json_body())
    found = devices.block_all(
        state.database(), set(body.ids), reason=body.reason, actor=actor, now=clock.now()
    )
    blocked = [device.id for device in found]
    missing = sorted(set(body.ids).difference(blocked))
    return BlockedJson(blocked=blocked, not_found=missing).model_dump()


@blueprint.errorhandler(devices.DeviceNotFound)
def _not_found(error: devices.DeviceNotFound) -> ResponseReturnValue:
    return current_app.handle_http_exception(NotFound(str(error)))


@blueprint.errorhandler(listing.InvalidCursor)
@blueprint.errorhandler(devices.InvalidInput)
def _invalid(error: ValueError) -> ResponseReturnValue:
    return current_app.handle_http_exception(UnprocessableEntity(str(error)))


def _actor(scope: str) -> str:
    """Return in whose name the token acts.

    Raises:
        InsufficientScope: the token lacks the scope.
    """
    caller = current_caller()
    if caller is None:
        raise TokenMissing
    if scope not in caller.scopes:
        raise InsufficientScope(scope)
    return f"token {caller.token_name}"


def _by(actor: str) -> dict[str, Any]:
    """Return who changes a device, when, and on which condition."""
    is_conditional, wanted = "If-Match" in request.headers, request.if_match

    def check(device: Device) -> None:
        if is_conditional and version(device) not in wanted:
            raise PreconditionFailed

    return {"actor": actor, "now": clock.now(), "check": check}


def _answer(device: Device) -> ResponseReturnValue:
    return device_json(device), {"ETag": f'"{version(device)}"'}


M = TypeVar("M", bound=_Asked)


def _checked(model: type[M], values: object) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "body"
        raise UnprocessableEntity(f"{field}: {first['msg']}.") from None


def _json_body() -> Any:
    if not request.is_json:
        raise UnsupportedMediaType("Send the body as 'Content-Type: application/json'.")
    try:
        return json.loads(read_body())
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON.") from None


def _page(key: str, rows: list[dict[str, Any]], cursor: object) -> ResponseReturnValue:
    """Answer a page: the rows, and where the next page is, in the body and in ``Link``."""
    if cursor is None:
        return {key: rows, "next": None}
    arguments = {**(request.view_args or {}), **request.args.to_dict(), "cursor": str(cursor)}
    following = url_for(str(request.endpoint), **arguments, _external=True)
    return {key: rows, "next": following}, {"Link": f'<{following}>; rel="next"'}
