"""Marks of devices: the page with suggestions, and the form that dismisses a mark."""

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from apidevices import clock, devices, state
from apidevices.admin.device import DEVICE, device_context
from apidevices.admin.device_list import list_args
from apidevices.admin.dialogs import is_submitted, show_form
from apidevices.admin.forms import AdminForm
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import wants_fragment
from apidevices.admin.messages import flash
from apidevices.errors import MarkNotFound
from apidevices.models import MAX_ID
from apidevices.rendering import render

METHODS = ("GET", "POST")


@blueprint.get("/api-devices/suggestions")
def device_suggestions() -> ResponseReturnValue:
    """Show pairs of devices that may be one."""
    before = request.args.get("before", type=int)
    if before is not None and not 0 <= before <= MAX_ID:
        before = None
    marks, following = devices.suggestions(state.database(), before)
    return render("devices/suggestions.html", marks=marks, following=following, now=clock.now())


@blueprint.route(f"{DEVICE}/marks/<int(max={MAX_ID}):mark_id>/dismiss", methods=METHODS)
def dismiss_mark(device_id: int, mark_id: int) -> ResponseReturnValue:
    """Dismiss a mark of a device."""
    db, found = state.database(), devices.get(state.database(), device_id)
    is_suggestion = request.args.get("from") == "suggestions"
    args = {"from": "suggestions"} if is_suggestion else list_args()
    if is_suggestion:
        origin = url_for(".device_suggestions")
    else:
        origin = url_for(".device", device_id=device_id, **args)
    if is_submitted(AdminForm()):
        actor, now = state.current().actor(), clock.now()
        devices.dismiss(db, device_id, mark_id, actor=actor, now=now)
        flash("The mark was dismissed.")
        if is_suggestion or not wants_fragment():
            return redirect(origin, 303)
        changed = devices.get(db, device_id)
        return render("devices/_changed_device.html", **device_context(changed))
    marks = [mark for mark in devices.marks_of(db, device_id) if mark.stored.id == mark_id]
    if not marks:
        raise MarkNotFound
    return show_form(
        "devices/_dismiss.html",
        title=f"Dismiss the mark of {found.display_name}",
        back=origin,
        back_label="Suggestions" if is_suggestion else found.display_name,
        action=url_for(".dismiss_mark", device_id=device_id, mark_id=mark_id, **args),
        device=found,
        mark=marks[0],
    )
