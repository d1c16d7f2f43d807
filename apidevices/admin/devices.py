"""Settings > API Devices: the list, the details, and what can be done to a device."""

from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from apidevices import clock, devices, listing, state
from apidevices.admin.forms import BlockForm, FilterForm, RenameForm
from apidevices.admin.frame import blueprint, not_found
from apidevices.admin.htmx import wants_fragment
from apidevices.admin.messages import flash
from apidevices.errors import DeviceNotFound, InvalidInput
from apidevices.listing import Cursor
from apidevices.models import MAX_ID, Device
from apidevices.rendering import render

DEVICE = f"/api-devices/<int(max={MAX_ID}):device_id>"


@blueprint.get("/api-devices")
def device_list() -> ResponseReturnValue:
    """Show the list, narrowed and paged by the URL."""
    form = FilterForm(request.args)
    db, filters, cursor = state.database(), form.filters, _cursor()
    page = listing.page(db, filters, cursor)
    if "waiting" in request.args and not page.count.number:
        return "", 204  # the page that waits for the first device stays as it is
    if cursor and not page.devices:
        page = listing.page(db, filters)  # that place in the list is gone
    context = {
        "form": form,
        "filters": filters,
        "page": page,
        "place": {"from": "list", **_place()},
        "now": clock.now(),
    }
    if not wants_fragment():
        return render("devices/list.html", **context)
    return render("devices/_list.html", **context)


@blueprint.get(DEVICE)
def device(device_id: int) -> ResponseReturnValue:
    """Show the details of a device."""
    found = devices.get(state.database(), device_id)
    return render("devices/detail.html", **_details(found))


@blueprint.get(f"{DEVICE}/history")
def device_history(device_id: int) -> ResponseReturnValue:
    """Show older entries of a device's history."""
    found = devices.get(state.database(), device_id)
    before = request.args.get("before", type=_row_id)
    return render("devices/history.html", device=found, now=clock.now(), **_history(found, before))


@blueprint.post(f"{DEVICE}/name")
def rename_device(device_id: int) -> ResponseReturnValue:
    """Give a device a name."""
    form = _validated(RenameForm())
    if form.name.data is None:
        raise InvalidInput("name", "There is no name in this form.")
    renamed = devices.rename(state.database(), device_id, form.name.data, **_by_whom())
    flash(f"Saved: “{renamed.display_name}”.")
    return _answer(renamed)


@blueprint.post(f"{DEVICE}/block")
def block_device(device_id: int) -> ResponseReturnValue:
    """Block a device."""
    form = _validated(BlockForm())
    blocked = devices.block(state.database(), device_id, reason=form.reason.data, **_by_whom())
    flash(f"Blocked “{blocked.display_name}”: its next request is denied.")
    return _answer(blocked)


@blueprint.post(f"{DEVICE}/unblock")
def unblock_device(device_id: int) -> ResponseReturnValue:
    """Unblock a device."""
    _validated(FlaskForm())
    unblocked = devices.unblock(state.database(), device_id, **_by_whom())
    flash(f"Unblocked “{unblocked.display_name}”: its next request is served.")
    return _answer(unblocked)


@blueprint.errorhandler(InvalidInput)
def _refuse(error: InvalidInput) -> ResponseReturnValue:
    try:
        found = devices.get(state.database(), (request.view_args or {})["device_id"])
    except DeviceNotFound as gone:
        return not_found(gone)
    if error.field != "name":
        flash(str(error))
        return _answer(found, 422)
    return _answer(found, 422, error=str(error), typed=request.form.get("name", ""))


def _row_id(text: str) -> int:
    """Read the id of a row.

    Raises:
        ValueError: it can't be one.
    """
    number = int(text)
    if not 0 <= number <= MAX_ID:
        raise ValueError(text)
    return number


def _by_whom() -> dict[str, Any]:
    return {"actor": state.current().actor(), "now": clock.now()}


def _validated(form: Any) -> Any:
    """Return a form that is whole and comes from a page of ours.

    Raises:
        InvalidInput: it isn't.
    """
    if not form.validate():
        field, errors = next(iter(form.errors.items()))
        raise InvalidInput(field, str(errors[0]))
    return form


def _cursor() -> Cursor | None:
    """Return the page that the URL asks for; an old or broken address means the first one."""
    try:
        return Cursor.parse(request.args.get("cursor", ""))
    except InvalidInput:
        return None


def _place() -> dict[str, Any]:
    """Return the parameters that lead back to this place in the list."""
    return {**FilterForm(request.args).query, "cursor": _cursor()}


def _answer(found: Device, status: int = 200, **refusal: Any) -> ResponseReturnValue:
    """Answer a POST with the device as it is now, in the shape of the page that the form was on.

    ``refusal`` is what was wrong with a name and what was typed, where nothing was done.
    """
    in_list = request.args.get("from") == "list"
    if in_list and wants_fragment():
        row = {"device": found, "place": {"from": "list", **_place()}, "now": clock.now()}
        return render("devices/_changed_row.html", **row, **refusal), status
    if status != 200 or wants_fragment():
        name = "_changed_device.html" if wants_fragment() else "detail.html"
        details = {**_details(found), **refusal}
        return render(f"devices/{name}", **details), status
    if in_list:
        return redirect(url_for(".device_list", **_place(), _anchor=f"device-{found.id}"), 303)
    return redirect(url_for(".device", device_id=found.id), 303)


def _details(found: Device) -> dict[str, Any]:
    db = state.database()
    return {
        "device": found,
        "tokens_used": devices.tokens_used(db, found.id),
        "panels": state.current().slots.device_panels(found),
        "now": clock.now(),
        **_history(found),
    }


def _history(found: Device, before: int | None = None) -> dict[str, Any]:
    entries, older = devices.history_page(state.database(), found.id, before)
    return {"history": entries, "older_history": older}
