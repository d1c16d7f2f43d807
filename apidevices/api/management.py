"""The management API: list, rename, block and unblock devices, read their history."""

import logging
from importlib.util import find_spec
from typing import Annotated, Any

from flask import current_app, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model
from pydantic.json_schema import SkipJsonSchema
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from apidevices import clock, devices, listing, state
from apidevices.api.description import MAX_JSON_INTEGER, WITH_BODY, Tag, described, operation_of
from apidevices.api.requests import parse_body, parse_query
from apidevices.calls import Caller
from apidevices.database import is_unavailable, log_unavailable
from apidevices.errors import APIDevicesError
from apidevices.listing import Cursor, Filters
from apidevices.metrics import DATABASE_ERRORS
from apidevices.models import Device
from apidevices.problems import (
    InsufficientScope,
    PreconditionFailed,
    Problem,
    TokenMissing,
    Unavailable,
    add_api_headers,
    as_http_error,
    as_problem,
)
from apidevices.protection import OwnBlueprint
from apidevices.representation import (
    BlockedJson,
    DeviceJson,
    DevicePage,
    HistoryPage,
    device_json,
    etag,
    history_json,
)
from apidevices.request_hook import check_request, current_caller
from apidevices.text import MAX_LENGTH

logger = logging.getLogger(__name__)

blueprint = OwnBlueprint("apidevices_api", __name__)
blueprint.after_request(add_api_headers)

TAG = Tag("Management", "List, rename, block and unblock devices, and read their history.")
READ, WRITE = "devices:read", "devices:write"
MAX_IDS = 1_000

DEVICES = "/v1/devices"
DEVICE = f"{DEVICES}/<int:device_id>"


def _integer(number: object) -> object:
    """Convert floats such as 7.0 to integers, because JSON does not distinguish them."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


_RowId = Annotated[int, Field(ge=0, le=MAX_JSON_INTEGER), BeforeValidator(_integer)]
_ListCursor = Annotated[str, Field(pattern="^(older|newer)-[0-9]{1,17}-[0-9]{1,18}$")]
_CURSOR = "The cursor of the page, taken from the 'next' URL."


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Body(_Request):
    model_config = ConfigDict(strict=True)


class ListQuery(_Request):
    """Filters and cursor of the device list."""

    name: str = Field("", description="Part of the name or identifier, not case-sensitive.")
    status: listing.Status = Field("all", description="'active' excludes blocked devices.")
    cursor: _ListCursor | SkipJsonSchema[None] = Field(None, description=_CURSOR)


class HistoryQuery(_Request):
    """Cursor of a device history."""

    cursor: _RowId | SkipJsonSchema[None] = Field(None, description=_CURSOR)


class Rename(_Body):
    """The new name; null or an empty string removes the name."""

    name: str | None = Field(max_length=MAX_LENGTH)


class Block(_Body):
    """The reason for a block."""

    reason: str | None = Field(None, max_length=devices.MAX_REASON)


class BlockAll(Block):
    """The devices to block, and the reason."""

    ids: list[_RowId] = Field(min_length=1, max_length=MAX_IDS)


IF_MATCH = create_model(
    "IfMatch",
    if_match=(
        str,
        Field(
            None,
            alias="If-Match",
            description="ETag from when you fetched the device. If the device was modified since,"
            " the response is 412.",
        ),
    ),
)


@blueprint.get(DEVICES)
@described(DevicePage, 400, 422, tag=TAG, scope=READ, query=ListQuery)
def list_devices() -> ResponseReturnValue:
    """List devices, most recently active first."""
    query = parse_query(ListQuery)
    page = listing.page(
        state.database(),
        Filters(query.name, query.status),
        Cursor.parse(query.cursor) if query.cursor else None,
    )
    return _page_response("devices", [device_json(device) for device in page.devices], page.older)


@blueprint.get(DEVICE)
@described(DeviceJson, 400, 404, tag=TAG, scope=READ)
def get_device(device_id: int) -> ResponseReturnValue:
    """Get a device."""
    return _device_response(devices.get(state.database(), device_id))


@blueprint.get(f"{DEVICE}/history")
@described(HistoryPage, 400, 404, 422, tag=TAG, scope=READ, query=HistoryQuery)
def get_device_history(device_id: int) -> ResponseReturnValue:
    """Get the history of a device, newest first."""
    query = parse_query(HistoryQuery)
    db = state.database()
    devices.get(db, device_id)
    entries, older = devices.history_page(db, device_id, query.cursor)
    return _page_response("history", list(map(history_json, entries)), older)


@blueprint.patch(DEVICE)
@described(DeviceJson, 404, 412, *WITH_BODY, tag=TAG, scope=WRITE, body=Rename, headers=IF_MATCH)
def rename_device(device_id: int) -> ResponseReturnValue:
    """Rename a device."""
    body = parse_body(Rename)
    return _device_response(
        devices.rename(state.database(), device_id, body.name or "", **_change_args())
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
    return _device_response(
        devices.block(state.database(), device_id, reason=body.reason, **_change_args())
    )


@blueprint.post(f"{DEVICE}/unblock")
@described(DeviceJson, 400, 404, 412, tag=TAG, scope=WRITE, headers=IF_MATCH)
def unblock_device(device_id: int) -> ResponseReturnValue:
    """Unblock a device. Idempotent."""
    return _device_response(devices.unblock(state.database(), device_id, **_change_args()))


@blueprint.post(f"{DEVICES}/block")
@described(BlockedJson, *WITH_BODY, tag=TAG, scope=WRITE, body=BlockAll)
def block_devices() -> ResponseReturnValue:
    """Block up to 1,000 devices in one transaction. Idempotent."""
    body = parse_body(BlockAll)
    found = devices.block_all(
        state.database(), set(body.ids), reason=body.reason, actor=_actor(), now=clock.now()
    )
    blocked = [device.id for device in found]
    missing = sorted(set(body.ids).difference(blocked))
    return BlockedJson(blocked=blocked, not_found=missing).model_dump()


@blueprint.before_request
def _check_token() -> ResponseReturnValue | None:
    # This API always requires a token, regardless of how the application protects its own API.
    operation = operation_of(current_app.view_functions[str(request.endpoint)])
    if operation is None:
        return None  # the OpenAPI document and page are public
    try:
        check_request(request, state.current().api_tracker)
        caller = current_caller()
        if caller is None:
            return None  # a CORS preflight, which Flask or a CORS extension answers
        if operation.scope and operation.scope not in caller.scopes:
            raise InsufficientScope(operation.scope)
    except Problem as problem:
        return problem.get_response()
    return None


@blueprint.errorhandler(APIDevicesError)
def _error(error: APIDevicesError) -> Response:
    return as_problem(as_http_error(error))


@blueprint.errorhandler(HTTPException)
def _http_error(error: HTTPException) -> Response:
    return as_problem(error)


@blueprint.errorhandler(SQLAlchemyError)
def _database_error(error: SQLAlchemyError) -> Response:
    if not is_unavailable(error):
        raise error
    state.current().metrics.count(DATABASE_ERRORS)
    log_unavailable(logger, error)
    return Unavailable().get_response()


def _caller() -> Caller:
    caller = current_caller()
    if caller is None:
        raise TokenMissing
    return caller


def _actor() -> str:
    """Return the actor name for the audit log."""
    return f"token {_caller().token_name}"


def _change_args() -> dict[str, Any]:
    """Return the actor, time and ``If-Match`` check to pass to functions that change a device."""
    is_conditional, etags = "If-Match" in request.headers, request.if_match

    def check(device: Device) -> None:
        if is_conditional and etag(device) not in etags:
            raise PreconditionFailed

    return {"actor": _actor(), "now": clock.now(), "check": check}


def _device_response(device: Device) -> ResponseReturnValue:
    return device_json(device), {"ETag": f'"{etag(device)}"'}


def _page_response(key: str, rows: list[dict[str, Any]], cursor: object) -> ResponseReturnValue:
    """Return a page, with the next page's URL in the body and in the ``Link`` header."""
    if cursor is None:
        return {key: rows, "next": None}
    arguments = {**(request.view_args or {}), **request.args.to_dict(), "cursor": str(cursor)}
    next_url = url_for(str(request.endpoint), **arguments, _external=True)
    return {key: rows, "next": next_url}, {"Link": f'<{next_url}>; rel="next"'}


if find_spec("openapi_pydantic"):  # the extra "openapi"
    from apidevices.api import openapi

    blueprint.add_url_rule("/openapi.json", view_func=openapi.document)
    blueprint.add_url_rule("/docs", view_func=openapi.docs)
