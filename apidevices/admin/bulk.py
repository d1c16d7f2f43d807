"""Change many devices: the confirmation, the progress and result, and undo."""

from typing import Any
from urllib.parse import urlsplit

from flask import Response, abort, redirect, request, url_for
from flask.globals import app_ctx
from flask.typing import ResponseReturnValue

from apidevices import clock, operations, state
from apidevices.admin import operation_texts as texts
from apidevices.admin.device_list import list_args
from apidevices.admin.dialogs import EXPIRED, is_submitted, show_form
from apidevices.admin.forms import AdminForm, BulkForm
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import is_htmx, wants_fragment
from apidevices.admin.messages import flash, status_response
from apidevices.admin.selection import filter_args, selected
from apidevices.devices import Chosen, Matching
from apidevices.errors import Conflict, InvalidInput
from apidevices.models import MAX_ID, Operation
from apidevices.rendering import render

OPERATION = f"/api-devices/operations/<int(max={MAX_ID}):operation_id>"
ACTIONS = ("block", "unblock", "tag", "untag", "archive", "unarchive", "delete")
_FIELDS = {"tags": "tag"}
"""Field of an error -> field of the form."""

NOT_SELECTED = "No devices are selected. Select devices in the list first."
NO_MATCHES = "No devices match. Nothing was changed."


@blueprint.route("/api-devices/bulk", methods=["GET", "POST"])
def bulk() -> ResponseReturnValue:
    """Change the selected devices, or all that match the filters in the URL, once confirmed."""
    action = request.values.get("action", "")
    if action not in ACTIONS:
        abort(404)
    form = BulkForm(keep_block=True)
    chosen = selected()
    if not chosen:
        return _back_to_list(NOT_SELECTED)
    errors: list[str] = []
    if is_submitted(form):
        try:
            if isinstance(chosen, Matching) and chosen.expected is None:
                raise Conflict("The form does not say how many devices to change. Confirm again.")
            return _begin(action, chosen, form)
        except InvalidInput as error:
            form[_FIELDS.get(error.field, error.field)].errors = [str(error)]
        except Conflict as error:
            errors = [str(error)]
    db = state.database()
    preview = operations.preview(db, chosen)
    if not preview.number:
        return _back_to_list(NO_MATCHES if isinstance(chosen, Matching) else NOT_SELECTED)
    # The confirmation is for the present number of devices.
    fields: list[tuple[str, Any]] = [("action", action)]
    if isinstance(chosen, Matching):
        fields += [("all", 1), ("expected", preview.number)]
    else:
        fields += [("id", device_id) for device_id in sorted(chosen)]
    return show_form(
        "operations/_confirm.html",
        title=f"{texts.confirm(action, preview.number)}?",
        confirm=texts.confirm(action, preview.number),
        back=url_for(".device_list", **list_args()),
        back_label="API Devices",
        action=action,
        url=url_for(".bulk", **filter_args()),
        preview=preview,
        fields=fields,
        form=form,
        errors=errors,
    )


@blueprint.get(OPERATION)
def operation(operation_id: int) -> ResponseReturnValue:
    """Show how far an operation has come, or its result. Resumes it if it was interrupted."""
    db = state.database()
    found = operations.get(db, operation_id)
    if found.finished_at is None:
        _start(found)
    elif wants_fragment():
        flash(texts.result(found), found.id)
    context = {
        "operation": found,
        "title": texts.title(found),
        "progress": texts.progress(found),
        "result": texts.result(found),
    }
    if not wants_fragment():
        return render("operations/progress.html", **context)
    return render("operations/_changed_progress.html", **context)


@blueprint.post(f"{OPERATION}/undo")
def undo(operation_id: int) -> ResponseReturnValue:
    """Undo an operation."""
    if not AdminForm().validate():
        abort(400, EXPIRED)
    actor, now = state.current().actor(), clock.now()
    try:
        undone = operations.undo(state.database(), operation_id, actor=actor, now=now)
    except operations.CannotUndo as error:
        flash(str(error))
        return redirect(_origin(), 303)
    if undone.finished_at is None:
        _start(undone)
        return redirect(url_for(".operation", operation_id=undone.id), 303)
    flash(f"Undone. {texts.result(undone)}")
    return redirect(_origin(), 303)


def _begin(action: str, chosen: Chosen, form: BulkForm) -> ResponseReturnValue:
    now = clock.now()
    begun = operations.begin(
        state.database(),
        action,
        chosen,
        arguments=form.arguments(action, now),
        actor=state.current().actor(),
        now=now,
    )
    url = url_for(".device_list", **list_args())
    if begun.finished_at is None:
        _start(begun)
        url = url_for(".operation", operation_id=begun.id)
    else:
        flash(texts.result(begun), begun.id)
    if is_htmx():
        return Response(status=204, headers={"HX-Redirect": url})
    return redirect(url, 303)


def _start(begun: Operation) -> None:
    state.current().operations.start(app_ctx.app, begun.id)


def _back_to_list(message: str) -> ResponseReturnValue:
    if is_htmx():
        return status_response(message, 422)
    flash(message)
    return redirect(url_for(".device_list", **list_args()), 303)


def _origin() -> str:
    """Return the admin page that this request comes from, by default the list."""
    pages = url_for(".device_list")
    try:
        origin = urlsplit(request.referrer or "")
    except ValueError:
        return pages
    if origin.netloc == request.host and origin.path.startswith(pages):
        return origin._replace(scheme="", netloc="").geturl()
    return pages
