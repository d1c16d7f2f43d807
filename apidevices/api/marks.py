"""The management API for marks: what devices seem to be."""

from flask.typing import ResponseReturnValue

from apidevices import devices, state
from apidevices.api.description import described
from apidevices.api.frame import DEVICES, READ, TAG, WRITE, blueprint, change_args
from apidevices.mark_representation import MarkList, mark_json

MARKS = f"{DEVICES}/<int:device_id>/marks"


@blueprint.get(MARKS)
@described(MarkList, 400, 404, tag=TAG, scope=READ)
def get_device_marks(device_id: int) -> ResponseReturnValue:
    """Get what a device seems to be, with the evidence: several devices, or another device."""
    return _marks_response(device_id)


@blueprint.post(f"{MARKS}/<int:mark_id>/dismiss")
@described(MarkList, 400, 404, tag=TAG, scope=WRITE)
def dismiss_device_mark(device_id: int, mark_id: int) -> ResponseReturnValue:
    """Dismiss a mark of a device, and return its other marks. Idempotent.

    Several devices with the same identifier are marked again only if another one joins them.
    """
    devices.dismiss(state.database(), device_id, mark_id, **change_args())
    return _marks_response(device_id)


def _marks_response(device_id: int) -> ResponseReturnValue:
    db = state.database()
    devices.get(db, device_id)
    return {"marks": [mark_json(mark) for mark in devices.marks_of(db, device_id)]}
