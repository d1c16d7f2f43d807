"""The API for devices: show the calling device, and upload data."""

from datetime import datetime
from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, JsonValue, RootModel, create_model
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from apidevices.standalone import uploads
from apidevices.toolkit import (
    DEFAULT_HEADERS,
    MAX_LENGTH,
    WITH_BODY,
    DeviceIdRequired,
    DeviceJson,
    InvalidInput,
    ResponseBody,
    Time,
    TokenMissing,
    current_caller,
    current_state,
    database,
    described,
    device_json,
    devices,
    etag,
    read_body,
)

TAG = "Devices"

blueprint = Blueprint("client_api", __name__, url_prefix="/api")


class UploadJson(ResponseBody):
    """A stored upload."""

    id: int
    received_at: Time


class AnyJson(RootModel[JsonValue]):
    """Any JSON value."""


def _device_headers() -> type[BaseModel]:
    """Return a model of the device headers, under their default names."""
    fields: dict[str, Any] = {
        field: (str, Field(None, alias=names[0], description=f"The `{field}` of the device."))
        for field, names in DEFAULT_HEADERS.items()
    }
    fields["identifier"] = (
        str,
        Field(
            alias=DEFAULT_HEADERS["identifier"][0],
            description="Identifies the device: printable characters without a comma, in UTF-8.",
            max_length=MAX_LENGTH,
            pattern=r"^[!-+\--~]([ -+\--~]*[!-+\--~])?$",
        ),
    )
    return create_model("DeviceHeaders", **fields)


DEVICE_HEADERS = _device_headers()


@blueprint.get("/v1/device")
@described(DeviceJson, 400, tag=TAG, headers=DEVICE_HEADERS)
def show_device() -> ResponseReturnValue:
    """Show the calling device as API Devices sees it."""
    _, device_id, _ = _calling_device()
    device = devices.get(database(), device_id)
    return device_json(device), {"ETag": f'"{etag(device)}"'}


@blueprint.post("/v1/uploads")
@described(UploadJson, *WITH_BODY, status=201, tag=TAG, headers=DEVICE_HEADERS, body=AnyJson)
def upload() -> ResponseReturnValue:
    """Upload data: any JSON up to 1 MiB."""
    at, device_id, token_id = _calling_device()
    if not request.is_json:
        raise UnsupportedMediaType("Send the upload with 'Content-Type: application/json'.")
    try:
        stored = uploads.store(
            database(), read_body(), device_id=device_id, token_id=token_id, now=at
        )
    except InvalidInput as error:
        raise BadRequest(str(error)) from error
    return UploadJson(id=stored.id, received_at=stored.received_at).model_dump(), 201


def _calling_device() -> tuple[datetime, int, int]:
    """Return the time of the request and the ids of its device and token.

    Raises:
        TokenMissing: The request has no token.
        DeviceIdRequired: The request has no device identifier.
    """
    caller = current_caller()
    if caller is None or caller.token_id is None:
        raise TokenMissing
    if caller.device_id is None:
        raise DeviceIdRequired(current_state().tracker.missing_identifier_message)
    return caller.at, caller.device_id, caller.token_id
