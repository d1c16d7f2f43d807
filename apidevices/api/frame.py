"""The blueprint of the management API: what all of its requests have in common."""

import logging
from typing import Annotated, Any

from flask import current_app, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field, create_model
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from apidevices import clock, devices, state
from apidevices.api.description import Tag, operation_of
from apidevices.calls import Caller
from apidevices.database import is_unavailable, log_unavailable
from apidevices.errors import APIDevicesError
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
from apidevices.representation import etag
from apidevices.request_hook import check_request, current_caller

logger = logging.getLogger(__name__)

blueprint = OwnBlueprint("apidevices_api", __name__)
blueprint.after_request(add_api_headers)

TAG = Tag("Management", "List, change, block, tag and delete devices, and read their history.")
READ, WRITE = "devices:read", "devices:write"

DEVICES = "/v1/devices"

KEEP_BLOCK = (
    "Whether the identifier of a blocked device stays blocked, as a new device about which nothing"
    " else is known. Otherwise its next request registers it again."
)

Reason = Annotated[
    str | None,
    Field(
        max_length=devices.MAX_REASON,
        description="Why, for administrators.",
        examples=["Lost"],
    ),
]
"""The reason for a block."""


class Request(BaseModel):
    """Values of a request. Unknown ones are rejected."""

    model_config = ConfigDict(extra="forbid")


class Body(Request):
    """A JSON body. Values of the wrong type are rejected, even if they could be converted."""

    model_config = ConfigDict(strict=True)


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
        devices.end_blocks_if_possible(state.database(), caller.at)
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


def actor() -> str:
    """Return the actor name for the audit log."""
    return f"token {_caller().token_name}"


def change_args() -> dict[str, Any]:
    """Return the actor, time and ``If-Match`` check to pass to functions that change a device."""
    is_conditional, etags = "If-Match" in request.headers, request.if_match

    def check(device: Device) -> None:
        if is_conditional and etag(device) not in etags:
            raise PreconditionFailed

    return {"actor": actor(), "now": clock.now(), "check": check}
