"""The actions on a device, on its page and in the list.

Each action has one URL: GET shows its form, and POST submits it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from apidevices import clock, devices, operations, state
from apidevices.admin.device import DEVICE, device_context
from apidevices.admin.device_list import list_args
from apidevices.admin.dialogs import is_submitted, show_form
from apidevices.admin.forms import BlockForm, RenameForm
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import wants_fragment
from apidevices.admin.messages import flash
from apidevices.errors import InvalidInput
from apidevices.models import Device
from apidevices.rendering import render

METHODS = ("GET", "POST")


@blueprint.route(f"{DEVICE}/name", methods=METHODS)
def rename_device(device_id: int) -> ResponseReturnValue:
    """Set or remove the name of a device."""
    found = devices.get(state.database(), device_id)
    form = RenameForm(data={"name": found.name})
    if is_submitted(form):
        try:
            return _renamed(device_id, form)
        except InvalidInput as error:
            form.name.errors = [str(error)]
    return _show("rename", found, form)


def _renamed(device_id: int, form: RenameForm) -> ResponseReturnValue:
    if not form.name.raw_data:
        raise InvalidInput("name", "The form has no name field. Reload the page and try again.")
    renamed = _recorded("rename", devices.rename, device_id, form.name.data or "")
    if renamed.name:
        flash(f"The device is now named “{renamed.name}”.")
    else:
        flash(f"The name was removed. The device is now listed as “{renamed.identifier}”.")
    return _respond(renamed)


@blueprint.route(f"{DEVICE}/block", methods=METHODS)
def block_device(device_id: int) -> ResponseReturnValue:
    """Block a device."""
    found = devices.get(state.database(), device_id)
    form = BlockForm()
    if is_submitted(form):
        reason = form.reason.data
        try:
            blocked = _recorded("block", devices.block, device_id, reason=reason)
        except InvalidInput as error:
            form.reason.errors = [str(error)]
        else:
            flash(f"“{blocked.display_name}” is blocked. Its requests are denied from now on.")
            return _respond(blocked)
    return _show("block", found, form)


@blueprint.route(f"{DEVICE}/unblock", methods=METHODS)
def unblock_device(device_id: int) -> ResponseReturnValue:
    """Unblock a device."""
    found = devices.get(state.database(), device_id)
    form = FlaskForm()
    if is_submitted(form):
        unblocked = _recorded("unblock", devices.unblock, device_id)
        flash(f"“{unblocked.display_name}” is unblocked. Its requests are allowed from now on.")
        return _respond(unblocked)
    return _show("unblock", found, form)


def _recorded(kind: str, change: Callable[..., Device], *arguments: Any, **options: Any) -> Device:
    """Change a device so that it can be undone: see ``operations.record``."""
    db, actor = state.database(), state.current().actor()
    bound = partial(change, db, *arguments, **options)
    return operations.record(db, kind, bound, actor=actor, now=clock.now())


def _in_list() -> bool:
    """Return whether the form was opened in the list, not on the device's page."""
    return request.args.get("from") == "list"


def _origin(found: Device) -> str:
    """Return the URL of the page on which the form was opened."""
    if _in_list():
        return url_for(".device_list", **list_args(), _anchor=f"device-{found.id}")
    return url_for(".device", device_id=found.id, **list_args())


def _show(action: str, found: Device, form: FlaskForm) -> ResponseReturnValue:
    origin: dict[str, Any] = {"from": "list"} if _in_list() else {}
    return show_form(
        f"devices/_{action}.html",
        title=f"{action.capitalize()} {found.display_name}",
        back=_origin(found),
        back_label="API Devices" if _in_list() else found.display_name,
        action=url_for(f".{action}_device", device_id=found.id, **origin, **list_args()),
        device=found,
        form=form,
    )


def _respond(changed: Device) -> ResponseReturnValue:
    """Respond to a form with the device, as shown on the page on which the form was opened."""
    if not wants_fragment():
        return redirect(_origin(changed), 303)
    if not _in_list():
        return render("devices/_changed_device.html", **device_context(changed))
    row = {"device": changed, "list_args": list_args(), "now": clock.now()}
    return render("devices/_changed_row.html", **row)
