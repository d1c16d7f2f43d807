"""Settings > API Devices: the device list, the device page, and their actions."""

from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from apidevices import clock, devices, listing, lookalikes, state
from apidevices.admin.forms import BlockForm, FilterForm, RenameForm
from apidevices.admin.frame import INVALID_FORM, blueprint, error_page
from apidevices.admin.htmx import is_poll, wants_fragment
from apidevices.admin.messages import flash
from apidevices.errors import DeviceNotFound, InvalidInput
from apidevices.listing import Cursor
from apidevices.models import MAX_ID, Device
from apidevices.rendering import render

DEVICE = f"/api-devices/<int(max={MAX_ID}):device_id>"


@blueprint.get("/api-devices")
def device_list() -> ResponseReturnValue:
    """Show the device list, filtered and paged by the query string."""
    form = FilterForm(request.args)
    db, filters, cursor = state.database(), form.filters, _cursor()
    page = listing.page(db, filters, cursor)
    if is_poll() and not page.count.number:
        return "", 204  # HTMX leaves the page as it is, and keeps polling for the first device
    if cursor and not page.devices:
        page = listing.page(db, filters)  # the cursor points beyond the end of the list
    context = {
        "form": form,
        "filters": filters,
        "page": page,
        "list_args": {"from": "list", **_list_args()},
        "now": clock.now(),
    }
    if not wants_fragment():
        return render("devices/list.html", **context)
    url = url_for(".device_list", **form.query)
    return render("devices/_filtered_list.html", **context), {"HX-Push-Url": url}


@blueprint.get(DEVICE)
def device(device_id: int) -> ResponseReturnValue:
    """Show one device."""
    found = devices.get(state.database(), device_id)
    return render("devices/detail.html", **_device_context(found))


@blueprint.get(f"{DEVICE}/history")
def device_history(device_id: int) -> ResponseReturnValue:
    """Show one page of a device's history."""
    found = devices.get(state.database(), device_id)
    before = request.args.get("before", type=_row_id)
    history = _history_context(found, before)
    return render("devices/history.html", device=found, now=clock.now(), **history)


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


def _row_id(text: str) -> int:
    """Parse the id of a row.

    Raises:
        ValueError: The text is not a valid id.
    """
    number = int(text)
    if not 0 <= number <= MAX_ID:
        raise ValueError(text)
    return number


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


def _cursor() -> Cursor | None:
    """Return the cursor in the URL. An invalid cursor means the first page."""
    try:
        return Cursor.parse(request.args.get("cursor", ""))
    except InvalidInput:
        return None


def _list_args() -> dict[str, Any]:
    """Return the query parameters of the current page of the list."""
    return {**FilterForm(request.args).query, "cursor": _cursor()}


def _respond(found: Device, status: int = 200, **invalid: Any) -> ResponseReturnValue:
    """Respond to a form with the device, as shown on the page that contains the form.

    If the name was invalid, ``invalid`` contains the ``error`` and the ``typed`` name.
    """
    in_list = request.args.get("from") == "list"
    if in_list and wants_fragment():
        row = {
            "device": found,
            "list_args": {"from": "list", **_list_args()},
            "now": clock.now(),
        }
        return render("devices/_changed_row.html", **row, **invalid), status
    if status != 200 or wants_fragment():
        name = "_changed_device.html" if wants_fragment() else "detail.html"
        return render(f"devices/{name}", **_device_context(found), **invalid), status
    if in_list:
        return redirect(url_for(".device_list", **_list_args(), _anchor=f"device-{found.id}"), 303)
    return redirect(url_for(".device", device_id=found.id), 303)


def _device_context(found: Device) -> dict[str, Any]:
    db = state.database()
    return {
        "device": found,
        "lookalikes": lookalikes.of_device(found),
        "tokens_used": devices.tokens_used(db, found.id),
        "panels": state.current().slots.device_panels(found),
        "now": clock.now(),
        **_history_context(found),
    }


def _history_context(found: Device, before: int | None = None) -> dict[str, Any]:
    entries, older = devices.history_page(state.database(), found.id, before)
    return {"history": entries, "older_history": older}
