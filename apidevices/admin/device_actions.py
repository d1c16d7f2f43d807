"""The actions on a device, on its page and in the list."""

from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from apidevices import clock, devices, state
from apidevices.admin.device import DEVICE, device_context
from apidevices.admin.device_list import list_args
from apidevices.admin.forms import BlockForm, RenameForm
from apidevices.admin.frame import INVALID_FORM, blueprint, error_page
from apidevices.admin.htmx import wants_fragment
from apidevices.admin.messages import flash
from apidevices.errors import DeviceNotFound, InvalidInput
from apidevices.models import Device
from apidevices.rendering import render


@blueprint.post(f"{DEVICE}/name")
def rename_device(device_id: int) -> ResponseReturnValue:
    """Set or remove the name of a device."""
    form = _validated(RenameForm())
    if form.name.data is None:
        raise InvalidInput("name", "The form has no name field. Reload the page and try again.")
    renamed = devices.rename(state.database(), device_id, form.name.data, **_audit_args())
    if renamed.name:
        flash(f"The device is now named “{renamed.name}”.")
    else:
        flash(f"The name was removed. The device is now listed as “{renamed.identifier}”.")
    return _respond(renamed)


@blueprint.post(f"{DEVICE}/block")
def block_device(device_id: int) -> ResponseReturnValue:
    """Block a device."""
    form = _validated(BlockForm())
    blocked = devices.block(state.database(), device_id, reason=form.reason.data, **_audit_args())
    flash(f"“{blocked.display_name}” is blocked. Its requests are denied from now on.")
    return _respond(blocked)


@blueprint.post(f"{DEVICE}/unblock")
def unblock_device(device_id: int) -> ResponseReturnValue:
    """Unblock a device."""
    _validated(FlaskForm())
    unblocked = devices.unblock(state.database(), device_id, **_audit_args())
    flash(f"“{unblocked.display_name}” is unblocked. Its requests are allowed from now on.")
    return _respond(unblocked)


@blueprint.errorhandler(InvalidInput)
def _invalid_input(error: InvalidInput) -> ResponseReturnValue:
    device_id = (request.view_args or {}).get("device_id")
    if device_id is None:
        return error_page(error)
    try:
        found = devices.get(state.database(), device_id)
    except DeviceNotFound as missing:
        return error_page(missing)
    if error.field != "name":
        flash(str(error))
        return _respond(found, INVALID_FORM)
    return _respond(found, INVALID_FORM, error=str(error), typed=request.form.get("name", ""))


def _audit_args() -> dict[str, Any]:
    return {"actor": state.current().actor(), "now": clock.now()}


def _validated(form: Any) -> Any:
    """Validate a form, including its CSRF token, and return it.

    Raises:
        InvalidInput: The form is invalid.
    """
    if not form.validate():
        field, errors = next(iter(form.errors.items()))
        raise InvalidInput(field, str(errors[0]))
    return form


def _respond(found: Device, status: int = 200, **invalid: Any) -> ResponseReturnValue:
    """Respond to a form with the device, as shown on the page that contains the form.

    If the name was invalid, ``invalid`` contains the ``error`` and the ``typed`` name.
    """
    in_list = request.args.get("from") == "list"
    if in_list and wants_fragment():
        row = {
            "device": found,
            "list_args": {"from": "list", **list_args()},
            "now": clock.now(),
        }
        return render("devices/_changed_row.html", **row, **invalid), status
    if status != 200 or wants_fragment():
        name = "_changed_device.html" if wants_fragment() else "detail.html"
        return render(f"devices/{name}", **device_context(found), **invalid), status
    if in_list:
        return redirect(url_for(".device_list", **list_args(), _anchor=f"device-{found.id}"), 303)
    return redirect(url_for(".device", device_id=found.id), 303)
