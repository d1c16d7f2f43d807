"""What devices call: themselves as the platform sees them, and data uploads."""

from flask import request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from apidevices import clock, devices, state, uploads
from apidevices.api.root import blueprint, read_body
from apidevices.clock import rfc3339
from apidevices.errors import DeviceIdRequired, TokenMissing
from apidevices.extension import current_caller
from apidevices.representation import device_json


@blueprint.get("/v1/device")
def show_device() -> ResponseReturnValue:
    """Return the calling device."""
    device_id, _ = _calling_device()
    return device_json(devices.get(state.database(), device_id))


@blueprint.post("/v1/uploads")
def upload() -> ResponseReturnValue:
    """Store a JSON body."""
    device_id, token_id = _calling_device()
    if not request.is_json:
        raise UnsupportedMediaType("Send the upload as 'Content-Type: application/json'.")
    try:
        stored = uploads.store(
            state.database(),
            read_body(),
            device_id=device_id,
            token_id=token_id,
            now=clock.now(),
        )
    except uploads.InvalidUpload as error:
        raise BadRequest(str(error)) from error
    return {"id": stored.id, "received_at": rfc3339(stored.received_at)}, 201


def _calling_device() -> tuple[int, int]:
    """Return the ids of the device and of the token that call.

    Raises:
        TokenMissing: the request came by no token.
        DeviceIdRequired: it names no device.
    """
    caller = current_caller()
    if caller is None or caller.token_id is None:
        raise TokenMissing
    if caller.device_id is None:
        raise DeviceIdRequired(state.current().tracker.how_to_identify)
    return caller.device_id, caller.token_id
