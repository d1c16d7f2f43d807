"""The API for devices: show the calling device, and upload data."""

from datetime import datetime
from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel, create_model
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from apidevices.standalone import upload_limits, uploads
from apidevices.toolkit import (
    DEFAULT_HEADERS,
    MAX_LENGTH,
    WITH_BODY,
    DeviceDeleted,
    DeviceIdRequired,
    DeviceNotFound,
    InvalidInput,
    OwnDeviceJson,
    ResponseBody,
    Tag,
    Time,
    TokenMissing,
    add_api_headers,
    current_caller,
    current_state,
    database,
    described,
    devices,
    etag,
    own_device_json,
    read_body,
)

TAG = Tag("Devices", "Show the calling device, and upload data.")

blueprint = Blueprint("client_api", __name__, url_prefix="/api")
blueprint.after_request(add_api_headers)


class UploadJson(ResponseBody):
    """A stored upload."""

    id: int = Field(description="Number of the upload.")
    received_at: Time = Field(description="Time when the server received it.")


class AnyJson(RootModel[JsonValue]):
    """Any JSON value."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"sold": 3}]})


_DETAILS = {
    "application": "Name of the application that makes the request.",
    "application_version": "Version of the application.",
    "os": "Operating system.",
    "os_version": "Version of the operating system.",
    "manufacturer": "Manufacturer of the device.",
    "model": "Model of the device.",
}


def _device_headers() -> type[BaseModel]:
    """Return a model of the device headers, under their default names."""
    fields: dict[str, Any] = {
        "identifier": (
            str,
            Field(
                alias=DEFAULT_HEADERS["identifier"][0],
                description=f"Identifier of the device: 1 to {MAX_LENGTH} printable characters,"
                " no comma.",
                examples=["phone-1"],
                max_length=MAX_LENGTH,
                pattern=r"^[!-+\--~]([ -+\--~]*[!-+\--~])?$",
            ),
        )
    }
    for field, description in _DETAILS.items():
        alias = DEFAULT_HEADERS[field][0]
        fields[field] = (str, Field(None, alias=alias, description=description))
    return create_model("DeviceHeaders", **fields)


DEVICE_HEADERS = _device_headers()


@blueprint.get("/v1/device")
@described(OwnDeviceJson, 400, tag=TAG, headers=DEVICE_HEADERS)
def show_device() -> ResponseReturnValue:
    """Show the calling device as API Devices sees it."""
    _, device_id, _ = _calling_device()
    try:
        device = devices.get(database(), device_id, follow=True)
    except DeviceNotFound as error:
        raise DeviceDeleted from error
    return own_device_json(device), {"ETag": f'"{etag(device)}"'}


@blueprint.post("/v1/uploads")
@described(UploadJson, *WITH_BODY, status=201, tag=TAG, headers=DEVICE_HEADERS, body=AnyJson)
def upload() -> ResponseReturnValue:
    """Upload any JSON value of up to 1 MiB."""
    at, device_id, token_id = _calling_device()
    if not request.is_json:
        raise UnsupportedMediaType("Send the upload with 'Content-Type: application/json'.")
    try:
        stored = uploads.store(
            database(),
            read_body(),
            device_id=device_id,
            token_id=token_id,
            now=at,
            limits=upload_limits.current_limits(),
        )
    except InvalidInput as error:
        raise BadRequest(str(error)) from error
    except DeviceNotFound as error:
        raise DeviceDeleted from error
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
