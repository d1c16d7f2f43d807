"""The management API for devices with several identifiers: merge devices, remove aliases."""

from flask.typing import ResponseReturnValue
from pydantic import ConfigDict, Field

from apidevices import devices, state
from apidevices.api.description import WITH_BODY, described
from apidevices.api.frame import IF_MATCH, TAG, WRITE, Body, blueprint, change_args
from apidevices.api.management import DEVICE, device_response
from apidevices.api.requests import parse_body
from apidevices.fields import RowId
from apidevices.representation import DeviceJson
from apidevices.text import MAX_LENGTH


class MergeDevice(Body):
    """The device to merge."""

    model_config = ConfigDict(validate_by_name=False)

    from_id: RowId = Field(
        alias="from",
        description="ID of the device to merge into the one in the URL. Afterwards, it is gone.",
        examples=[2],
    )


class RemoveAlias(Body):
    """The alias to remove."""

    identifier: str = Field(
        min_length=1,
        max_length=MAX_LENGTH,
        description="One of the device's aliases.",
        examples=["phone-2"],
    )


@blueprint.post(f"{DEVICE}/merge")
@described(
    DeviceJson, 404, 409, 412, *WITH_BODY, tag=TAG, scope=WRITE, body=MergeDevice, headers=IF_MATCH
)
def merge_device(device_id: int) -> ResponseReturnValue:
    """Merge another device into this one, whose aliases then include its identifier."""
    from_id = parse_body(MergeDevice).from_id
    current = state.current()
    merged = devices.merge(current.db, from_id, device_id, moves=current.moves, **change_args())
    return device_response(merged)


@blueprint.post(f"{DEVICE}/unalias")
@described(
    DeviceJson, 404, 409, 412, *WITH_BODY, tag=TAG, scope=WRITE, body=RemoveAlias, headers=IF_MATCH
)
def remove_alias(device_id: int) -> ResponseReturnValue:
    """Remove an alias of a device, unless the device is blocked."""
    identifier = parse_body(RemoveAlias).identifier
    return device_response(
        devices.remove_alias(state.database(), device_id, identifier, **change_args())
    )
