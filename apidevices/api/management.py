"""The management API: list, rename, block and unblock devices, read their history."""

from importlib.util import find_spec
from typing import Annotated, Any

from flask import Blueprint, current_app, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model
from pydantic.json_schema import SkipJsonSchema
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import Conflict as HTTPConflict
from werkzeug.exceptions import HTTPException, UnprocessableEntity
from werkzeug.exceptions import NotFound as HTTPNotFound
from werkzeug.wrappers import Response

from apidevices import clock, devices, listing, state
from apidevices.api.description import MAX_JSON_INTEGER, WITH_BODY, described, operation_of
from apidevices.api.requests import parse_body, parse_query
from apidevices.database import is_unavailable
from apidevices.errors import Conflict, InvalidInput, NotFound
from apidevices.listing import Cursor, Filters
from apidevices.models import Device
from apidevices.problems import (
    InsufficientScope,
    PreconditionFailed,
    Problem,
    TokenMissing,
    Unavailable,
    as_problem,
)
from apidevices.representation import (
    BlockedJson,
    DeviceJson,
    DevicePage,
    HistoryPage,
    device_json,
    history_json,
    version,
)
from apidevices.request_hook import check_request, current_caller
from apidevices.text import MAX_LENGTH
from apidevices.tracking import Caller

blueprint = Blueprint("apidevices_api", __name__)
# APIFlask reads this from every blueprint that has hooks.
blueprint.enable_openapi = False  # type: ignore[attr-defined]

TAG = "Management"
READ, WRITE = "devices:read", "devices:write"
MAX_AT_ONCE = 1_000

DEVICES = "/v1/devices"
DEVICE = f"{DEVICES}/<int:device_id>"


def _integer(number: object) -> object:
    """Take 7.0 for what it is in JSON: an integer."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


_RowId = Annotated[int, Field(ge=0, le=MAX_JSON_INTEGER), BeforeValidator(_integer)]
_ListCursor = Annotated[str, Field(pattern="^(older|newer)-[0-9]{1,17}-[0-9]{1,18}$")]
_CURSOR = "The page: as it is in the address that 'next' gives."


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Body(_Request):
    model_config = ConfigDict(strict=True)


class ListQuery(_Request):
    """The list's filters, and the page."""

    name: str = Field("", description="Part of the name or identifier, in any case.")
    status: listing.Status = Field("all", description="'active' leaves out the blocked ones.")
    cursor: _ListCursor | SkipJsonSchema[None] = Field(None, description=_CURSOR)


class HistoryQuery(_Request):
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
@described(DevicePage, 400, 422, tag=TAG, scope=READ, query=ListQuery)
def list_devices() -> ResponseReturnValue:
    """List devices, most recently active first, narrowed as on the page for people."""
    query = parse_query(ListQuery)
    page = listing.page(
        state.database(),
        Filters(query.name, query.status),
        Cursor.parse(query.cursor) if query.cursor else None,
    )
    return _page("devices", [device_json(device) for device in page.devices], page.older)


@blueprint.get(DEVICE)
@described(DeviceJson, 400, 404, tag=TAG, scope=READ)
def get_device(device_id: int) -> ResponseReturnValue:
    """Show one device."""
    return _answer(devices.get(state.database(), device_id))


@blueprint.get(f"{DEVICE}/history")
@described(HistoryPage, 400, 404, 422, tag=TAG, scope=READ, query=HistoryQuery)
def get_device_history(device_id: int) -> ResponseReturnValue:
    """Show what a device said of itself over time, newest first."""
    query = parse_query(HistoryQuery)
    db = state.database()
    devices.get(db, device_id)
    entries, older = devices.history_page(db, device_id, query.cursor)
    return _page("history", list(map(history_json, entries)), older)


@blueprint.patch(DEVICE)
@described(DeviceJson, 404, 412, *WITH_BODY, tag=TAG, scope=WRITE, body=Rename, headers=IF_MATCH)
def rename_device(device_id: int) -> ResponseReturnValue:
    """Rename a device."""
    body = parse_body(Rename)
    return _answer(devices.rename(state.database(), device_id, body.name or "", **_by_whom()))


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
    """Block a device; again changes nothing."""
    body = parse_body(Block, optional=True)
    return _answer(devices.block(state.database(), device_id, reason=body.reason, **_by_whom()))


@blueprint.post(f"{DEVICE}/unblock")
@described(DeviceJson, 400, 404, 412, tag=TAG, scope=WRITE, headers=IF_MATCH)
def unblock_device(device_id: int) -> ResponseReturnValue:
    """Unblock a device; again changes nothing."""
    return _answer(devices.unblock(state.database(), device_id, **_by_whom()))


@blueprint.post(f"{DEVICES}/block")
@described(BlockedJson, *WITH_BODY, tag=TAG, scope=WRITE, body=BlockAll)
def block_devices() -> ResponseReturnValue:
    """Block up to 1,000 devices, all at once; again changes nothing."""
    body = parse_body(BlockAll)
    found = devices.block_all(
        state.database(), set(body.ids), reason=body.reason, actor=_actor(), now=clock.now()
    )
    blocked = [device.id for device in found]
    missing = sorted(set(body.ids).difference(blocked))
    return BlockedJson(blocked=blocked, not_found=missing).model_dump()


@blueprint.before_request
def _check_token() -> ResponseReturnValue | None:
    # On its own, whatever the application protects and however it authenticates its clients.
    operation = operation_of(current_app.view_functions[str(request.endpoint)])
    if operation is None:
        return None  # the description, for everybody
    try:
        check_request(request, state.current().api)
        if operation.scope and operation.scope not in _caller().scopes:
            raise InsufficientScope(operation.scope)
    except Problem as problem:
        return problem.get_response()
    return None


@blueprint.errorhandler(NotFound)
def _not_found(error: NotFound) -> Response:
    return as_problem(HTTPNotFound(str(error)))


@blueprint.errorhandler(InvalidInput)
def _invalid(error: InvalidInput) -> Response:
    return as_problem(UnprocessableEntity(str(error)))


@blueprint.errorhandler(Conflict)
def _conflict(error: Conflict) -> Response:
    return as_problem(HTTPConflict(str(error)))


@blueprint.errorhandler(HTTPException)
def _http_error(error: HTTPException) -> Response:
    return as_problem(error)


@blueprint.errorhandler(SQLAlchemyError)
def _database_error(error: SQLAlchemyError) -> Response:
    if not is_unavailable(error):
        raise error
    return Unavailable().get_response()


def _caller() -> Caller:
    caller = current_caller()
    if caller is None:
        raise TokenMissing
    return caller


def _actor() -> str:
    """Return the name under which the token's actions are recorded."""
    return f"token {_caller().token_name}"


def _by_whom() -> dict[str, Any]:
    """Return who changes a device, when, and the condition that ``If-Match`` sets."""
    is_conditional, wanted = "If-Match" in request.headers, request.if_match

    def check(device: Device) -> None:
        if is_conditional and version(device) not in wanted:
            raise PreconditionFailed

    return {"actor": _actor(), "now": clock.now(), "check": check}


def _answer(device: Device) -> ResponseReturnValue:
    return device_json(device), {"ETag": f'"{version(device)}"'}


def _page(key: str, rows: list[dict[str, Any]], cursor: object) -> ResponseReturnValue:
    """Answer with a page; the next page's URL goes into the body and into ``Link``."""
    if cursor is None:
        return {key: rows, "next": None}
    arguments = {**(request.view_args or {}), **request.args.to_dict(), "cursor": str(cursor)}
    following = url_for(str(request.endpoint), **arguments, _external=True)
    return {key: rows, "next": following}, {"Link": f'<{following}>; rel="next"'}


if find_spec("openapi_pydantic"):  # the extra "openapi"
    from apidevices.api import openapi

    blueprint.add_url_rule("/openapi.json", view_func=openapi.document)
    blueprint.add_url_rule("/docs", view_func=openapi.docs)
