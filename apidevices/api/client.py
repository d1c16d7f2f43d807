"""What devices call: themselves as the platform sees them, and data uploads."""

from datetime import datetime

from flask import request
from flask.typing import ResponseReturnValue
from pydantic import JsonValue, RootModel
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from apidevices import devices, state, uploads
from apidevices.api.openapi import DEVICE_HEADERS, OF_A_BODY, described
from apidevices.api.root import blueprint, read_body
from apidevices.errors import DeviceIdRequired, TokenMissing
from apidevices.representation import DeviceJson, UploadJson, device_json, version
from apidevices.request_hook import current_caller

TAG = "Devices"


class AnyJson(RootModel[JsonValue]):
    """Any JSON."""


@blueprint.get("/v1/device")
@described(DeviceJson, 400, tag=TAG, headers=DEVICE_HEADERS)
def show_device() -> ResponseReturnValue:
    """Show the calling device, as the platform sees it."""
    _, device_id, _ = _calling_device()
    device = devices.get(state.database(), device_id)
    return device_json(device), {"ETag": f'"{version(device)}"'}


@blueprint.post("/v1/uploads")
@described(UploadJson, *OF_A_BODY, status=201, tag=TAG, headers=DEVICE_HEADERS, json=AnyJson)
def upload() -> ResponseReturnValue:
    """Upload data: any JSON, up to 1 MiB."""
    at, device_id, token_id = _calling_device()
    if not request.is_json:
        raise UnsupportedMediaType("Send the upload as 'Content-Type: application/json'.")
    try:
        stored = uploads.store(
            state.database(),
            read_body(),
            device_id=device_id,
            token_id=token_id,
            now=at,
        )
    except uploads.InvalidUpload as error:
        raise BadRequest(str(error)) from error
    return UploadJson(id=stored.id, received_at=stored.received_at).model_dump(), 201


def _calling_device() -> tuple[datetime, int, int]:
    """Return when it was called, and the ids of the device and of the token that call.

    Raises:
        TokenMissing: the request came by no token.
        DeviceIdRequired: it names no device.
    """
    caller = current_caller()
    if caller is None or caller.token_id is None:
        raise TokenMissing
    if caller.device_id is None:
        raise DeviceIdRequired(state.current().tracker.how_to_identify)
    return caller.at, caller.device_id, caller.token_id
