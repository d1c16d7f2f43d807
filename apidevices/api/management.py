"""What programs of administrators call: devices as JSON, with a token that has the scope."""

import json
from typing import Any, TypeVar

from flask import current_app, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import (
    BadRequest,
    NotFound,
    UnprocessableEntity,
    UnsupportedMediaType,
)

from apidevices import clock, devices, listing, state
from apidevices.api.root import blueprint, read_body
from apidevices.errors import InsufficientScope, TokenMissing
from apidevices.extension import current_caller
from apidevices.listing import Cursor, Filters
from apidevices.models import MAX_ID
from apidevices.representation import device_json, history_json

DEVICES = "/v1/devices"
DEVICE = f"{DEVICES}/<int(max={MAX_ID}):device_id>"


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ListQuery(_Parameters):
    """The list's filters, and the page."""

    name: str = ""
    status: listing.Status = "all"
    cursor: str | None = None


class HistoryQuery(_Parameters):
    """The page of a history: entries below this id."""

    cursor: int | None = Field(default=None, ge=0, le=MAX_ID)


class Rename(_Parameters):
    """The name to give; null or empty returns the device to its identifier."""

    name: str | None


class Block(_Parameters):
    """Why the device is blocked."""

    reason: str | None = None


@blueprint.get(DEVICES)
def list_devices() -> ResponseReturnValue:
    """Return a page of the list, narrowed as on the page for people."""
    _actor("devices:read")
    query = _checked(ListQuery, request.args.to_dict())
    page = listing.page(
        state.database(),
        Filters(query.name, query.status),
        Cursor.parse(query.cursor) if query.cursor else None,
    )
    return _page("devices", [device_json(device) for device in page.devices], page.older)


@blueprint.get(DEVICE)
def show_one(device_id: int) -> ResponseReturnValue:
    """Return one device."""
    _actor("devices:read")
    return device_json(devices.get(state.database(), device_id))


@blueprint.get(f"{DEVICE}/history")
def show_history(device_id: int) -> ResponseReturnValue:
    """Return a page of a device's history, newest first."""
    _actor("devices:read")
    query = _checked(HistoryQuery, request.args.to_dict())
    db = state.database()
    devices.get(db, device_id)
    entries, older = devices.history_page(db, device_id, query.cursor)
    return _page("history", list(map(history_json, entries)), older)


@blueprint.patch(DEVICE)
def rename_one(device_id: int) -> ResponseReturnValue:
    """Rename a device."""
    actor = _actor("devices:write")
    body = _checked(Rename, _json_body())
    now = clock.now()
    return device_json(
        devices.rename(state.database(), device_id, body.name or "", actor=actor, now=now)
    )


@blueprint.post(f"{DEVICE}/block")
def block_one(device_id: int) -> ResponseReturnValue:
    """Block a device; again changes nothing."""
    actor = _actor("devices:write")
    body = _checked(Block, _json_body() if read_body() else {})
    now = clock.now()
    return device_json(
        devices.block(state.database(), device_id, reason=body.reason, actor=actor, now=now)
    )


@blueprint.post(f"{DEVICE}/unblock")
def unblock_one(device_id: int) -> ResponseReturnValue:
    """Unblock a device; again changes nothing."""
    actor = _actor("devices:write")
    return device_json(devices.unblock(state.database(), device_id, actor=actor, now=clock.now()))


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


M = TypeVar("M", bound=_Parameters)


def _checked(model: type[M], values: object) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "body"
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
