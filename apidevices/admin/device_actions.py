"""The actions on a device, on its page and in the list.

Each action has one URL: GET shows its form, and POST submits it.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from apidevices import clock, devices, listing, operations, state
from apidevices.admin.device import DEVICE, device_context
from apidevices.admin.device_list import is_listed, list_args, row_context
from apidevices.admin.dialogs import is_submitted, show_form
from apidevices.admin.forms import (
    AdminForm,
    BlockForm,
    DeleteForm,
    NoteForm,
    RenameForm,
    TagsForm,
    TextForm,
    digest,
)
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import wants_fragment
from apidevices.admin.messages import flash
from apidevices.devices import Until
from apidevices.errors import InvalidInput
from apidevices.models import Device
from apidevices.rendering import render

METHODS = ("GET", "POST")

SUGGESTED_TAGS = 12
"""How many tags of other devices the form for tags suggests."""


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
    renamed, undoable = _recorded("rename", devices.rename, device_id, form.name.data or "")
    if renamed.name:
        flash(f"The device is now named “{renamed.name}”.", undoable)
    else:
        message = f"The name was removed. The device is now listed as “{renamed.identifier}”."
        flash(message, undoable)
    return _respond(renamed)


@blueprint.route(f"{DEVICE}/block", methods=METHODS)
def block_device(device_id: int) -> ResponseReturnValue:
    """Block a device, or change the reason and the end of its block."""
    found = devices.get(state.database(), device_id)
    form = BlockForm(data=_present_block(found) if request.method == "GET" else None)
    if is_submitted(form):
        try:
            return _blocked(device_id, form)
        except InvalidInput as error:
            form[error.field].errors = [str(error)]
    used = devices.tokens_used(state.database(), device_id)
    tokens = [use for use in used if use.token.status_at(clock.now()) == "active"]
    return _show("block", found, form, tokens=tokens)


def _present_block(found: Device) -> dict[str, Any]:
    if found.blocked_at is None:
        return {"ends": "never", "reason": request.args.get("reason", "")[: devices.MAX_REASON]}
    until = found.blocked_until
    ends = "custom" if until else "never"
    return {
        "reason": found.block_reason,
        "ends": ends,
        "until": f"{until:%Y-%m-%dT%H:%M}" if until else "",
        "is_change": "1",
    }


def _blocked(device_id: int, form: BlockForm) -> ResponseReturnValue:
    until: datetime | Until | None = form.until_at(clock.now())
    if until is None and not form.is_change.data:
        until = Until.UNCHANGED  # keeps the end if somebody else has blocked the device
    revoked = form.revoke_tokens.data or ()
    change = {"reason": form.reason.data, "until": until, "revoke_tokens": revoked}
    if revoked:  # the tokens would stay revoked, so this can't be undone
        undoable = None
        blocked = devices.block(state.database(), device_id, **change, **_audit_args())
    else:
        blocked, undoable = _recorded("block", devices.block, device_id, **change)
    end = f" until {blocked.blocked_until:%Y-%m-%d %H:%M} UTC" if blocked.blocked_until else ""
    message = f"“{blocked.display_name}” is blocked{end}. Its requests are denied from now on."
    flash(message, undoable)
    if revoked:
        tokens = "token is" if len(revoked) == 1 else "tokens are"
        flash(f"{len(revoked)} API {tokens} revoked. You can't undo that.")
    return _respond(blocked)


@blueprint.route(f"{DEVICE}/unblock", methods=METHODS)
def unblock_device(device_id: int) -> ResponseReturnValue:
    """Unblock a device."""
    found = devices.get(state.database(), device_id)
    form = AdminForm()
    if is_submitted(form):
        unblocked, undoable = _recorded("unblock", devices.unblock, device_id)
        message = f"“{unblocked.display_name}” is unblocked. Its requests are allowed from now on."
        flash(message, undoable)
        return _respond(unblocked)
    return _show("unblock", found, form)


@blueprint.route(f"{DEVICE}/archive", methods=METHODS)
def archive_device(device_id: int) -> ResponseReturnValue:
    """Archive a device."""
    found = devices.get(state.database(), device_id)
    form = AdminForm()
    if is_submitted(form):
        archived, undoable = _recorded("archive", devices.archive, device_id)
        message = f"“{archived.display_name}” is archived. Its next request brings it back."
        flash(message, undoable)
        return _respond(archived)
    return _show("archive", found, form)


@blueprint.route(f"{DEVICE}/unarchive", methods=METHODS)
def unarchive_device(device_id: int) -> ResponseReturnValue:
    """Bring a device back from the archive."""
    found = devices.get(state.database(), device_id)
    form = AdminForm()
    if is_submitted(form):
        back, undoable = _recorded("unarchive", devices.unarchive, device_id)
        flash(f"“{back.display_name}” is not archived any more.", undoable)
        return _respond(back)
    return _show("unarchive", found, form)


def _recorded(
    kind: str, change: Callable[..., Device], *arguments: Any, **options: Any
) -> operations.Recorded:
    """Change a device so that it can be undone: see ``operations.record``."""
    db, actor = state.database(), state.current().actor()
    bound = partial(change, db, *arguments, **options)
    return operations.record(db, kind, bound, actor=actor, now=clock.now())


@blueprint.route(f"{DEVICE}/tags", methods=METHODS)
def tag_device(device_id: int) -> ResponseReturnValue:
    """Set the tags of a device."""
    db = state.database()
    found = devices.get(db, device_id)
    present = ", ".join(found.tags)
    form = TagsForm(data={"tags": present, "opened": digest(present)})
    if is_submitted(form):
        try:
            _check_opened(form, "tags", present)
            tags = (form.tags.data or "").split(",")
            tagged, undoable = _recorded("tags", devices.set_tags, device_id, tags)
        except InvalidInput as error:
            form.tags.errors = [str(error)]
        else:
            message = (
                f"Tags: {', '.join(tagged.tags)}." if tagged.tags else "The tags were removed."
            )
            flash(message, undoable)
            return _respond(tagged)
    known = sorted(listing.choices(db).tag, key=lambda choice: -choice.devices)
    others = [choice.value for choice in known if choice.value not in found.tags]
    return _show("tags", found, form, suggestions=others[:SUGGESTED_TAGS])


@blueprint.route(f"{DEVICE}/note", methods=METHODS)
def annotate_device(device_id: int) -> ResponseReturnValue:
    """Set or remove the note of a device."""
    found = devices.get(state.database(), device_id)
    present = found.note or ""
    form = NoteForm(data={"note": present, "opened": digest(present)})
    if is_submitted(form):
        try:
            _check_opened(form, "note", present)
            noted = devices.annotate(
                state.database(), device_id, form.note.data or "", **_audit_args()
            )
        except InvalidInput as error:
            form.note.errors = [str(error)]
        else:
            flash("The note was saved." if noted.note else "The note was removed.")
            return _respond(noted)
    return _show("note", found, form)


def _check_opened(form: TextForm, field: str, present: str) -> None:
    """Check that a form does not replace what another administrator has just written.

    Raises:
        InvalidInput: The text has changed since the form was opened, or the field is missing.
    """
    if not form[field].raw_data:
        raise InvalidInput(field, "The form has no such field. Reload the page and try again.")
    if form.has_changed(present):
        is_now = f"It is now: “{present}”" if present else "It is now empty"
        raise InvalidInput(
            field,
            f"This has changed since you opened the form. {is_now}. Save again to replace it.",
        )


@blueprint.route(f"{DEVICE}/delete", methods=METHODS)
def delete_device(device_id: int) -> ResponseReturnValue:
    """Delete a device."""
    found = devices.get(state.database(), device_id)
    form = DeleteForm(keep_block=found.status == "blocked")
    if not is_submitted(form):
        return _show("delete", found, form)
    keep = form.keep_block.data
    deleted = devices.delete(state.database(), device_id, keep_block=keep, **_audit_args())
    kept = " Its identifier stays blocked." if keep and deleted.status == "blocked" else ""
    flash(f"“{deleted.display_name}” and everything stored about it was deleted.{kept}")
    if wants_fragment() and _in_list() and not kept:
        return render("_status_partial.html"), {"HX-Reswap": "delete"}
    url = url_for(".device_list", **list_args())
    return ("", {"HX-Redirect": url}) if wants_fragment() else redirect(url, 303)


def _audit_args() -> dict[str, Any]:
    return {"actor": state.current().actor(), "now": clock.now()}


def _in_list() -> bool:
    """Return whether the form was opened in the list, not on the device's page."""
    return request.args.get("from") == "list"


def _origin(found: Device) -> str:
    """Return the URL of the page on which the form was opened."""
    if _in_list():
        return url_for(".device_list", **list_args(), _anchor=f"device-{found.id}")
    return url_for(".device", device_id=found.id, **list_args())


def _show(action: str, found: Device, form: AdminForm, **context: Any) -> ResponseReturnValue:
    origin: dict[str, Any] = {"from": "list"} if _in_list() else {}
    return show_form(
        f"devices/_{action}.html",
        title=f"{action.capitalize()} {found.display_name}",
        back=_origin(found),
        back_label="API Devices" if _in_list() else found.display_name,
        action=url_for(str(request.endpoint), device_id=found.id, **origin, **list_args()),
        device=found,
        form=form,
        now=clock.now(),
        **context,
    )


def _respond(changed: Device) -> ResponseReturnValue:
    """Respond to a form with the device, as shown on the page on which the form was opened."""
    if not wants_fragment():
        return redirect(_origin(changed), 303)
    if not _in_list():
        return render("devices/_changed_device.html", **device_context(changed))
    if not is_listed(changed):
        return render("_status_partial.html"), {"HX-Reswap": "delete"}
    return render("devices/_changed_row.html", **row_context(changed))
