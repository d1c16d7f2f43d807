"""The page of a device, and its history."""

from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from apidevices import audit, clock, devices, export, lookalikes, state
from apidevices.admin.activity_chart import activity_chart
from apidevices.admin.device_list import list_args
from apidevices.admin.export import download
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import wants_fragment
from apidevices.devices import HistoryCursor
from apidevices.errors import InvalidInput
from apidevices.models import MAX_ID, Device
from apidevices.rendering import render

DEVICE = f"/api-devices/<int(max={MAX_ID}):device_id>"
"""The path of a device's page."""

KIND_LABELS = {
    "registered": "Registered",
    "changed": "Changed",
    "renamed": "Renamed",
    "tagged": "Tagged",
    "untagged": "Tags removed",
    "annotated": "Note changed",
    "blocked": "Blocked",
    "unblocked": "Unblocked",
    "merged": "Merged",
    "alias_removed": "Alias removed",
    "archived": "Archived",
    "unarchived": "Unarchived",
    "token_first_used": "Token first used",
    "denied": "Denied",
}
"""What has happened to a device, in words."""


@blueprint.get(DEVICE)
def device(device_id: int) -> ResponseReturnValue:
    """Show one device."""
    found = devices.get(state.database(), device_id)
    return _respond(found, "devices/detail.html")


@blueprint.get(f"{DEVICE}/history")
def device_history(device_id: int) -> ResponseReturnValue:
    """Show one page of a device's history."""
    found = devices.get(state.database(), device_id)
    return _respond(found, "devices/history.html")


@blueprint.get(f"{DEVICE}/history.<any(csv, json):extension>")
def export_history(device_id: int, extension: str) -> ResponseReturnValue:
    """Download the history of a device."""
    db, now = state.database(), clock.now()
    devices.get(db, device_id)
    actor = state.current().actor()
    chunks = export.run_history(db, device_id, extension, kinds=_kinds(), actor=actor, now=now)
    return download(chunks, f"history-{device_id}", extension, now)


def device_context(found: Device) -> dict[str, Any]:
    """Return what the templates of the page need to know about a device."""
    db, now = state.database(), clock.now()
    days = devices.activity_days(db, found.id, now)
    return {
        "device": found,
        "aliases": devices.aliases(db, found.id),
        "chart": activity_chart(days, devices.counting_since(db)),
        "lookalikes": lookalikes.of_device(found),
        "marks": devices.marks_of(db, found.id),
        "tokens_used": devices.tokens_used(db, found.id),
        "denied_token": devices.last_denied_token(db, found),
        "panels": state.current().slots.device_panels(found),
        **_history_context(found),
    }


def _respond(found: Device, template: str) -> ResponseReturnValue:
    """Respond with a page, or with the history alone if its filter has changed in place."""
    args: dict[str, Any] = {"device_id": found.id, **_args(), **list_args()}
    own_url = url_for(str(request.endpoint), **args)
    if wants_fragment():
        fragment = render("devices/_history.html", **_history_context(found))
        return fragment, {"HX-Push-Url": own_url}
    if "filtered" in request.args:
        return redirect(own_url)  # a plain form has sent its empty fields, too
    is_page = template == "devices/detail.html"
    return render(template, **device_context(found) if is_page else _history_context(found))


def _history_context(found: Device) -> dict[str, Any]:
    cursor = _cursor() if request.endpoint == f"{blueprint.name}.device_history" else None
    kinds = _kinds()
    entries, older = devices.history_page(state.database(), found.id, cursor, kinds=kinds)
    return {
        "device": found,
        "history": entries,
        "older_history": older,
        "kind": kinds[0] if kinds else "",
        "kind_labels": KIND_LABELS,
        "kind_args": _args(),
        "history_args": {**_args(), **list_args()},
        "end_of_block": audit.END_OF_BLOCK,
        "list_args": list_args(),
        "now": clock.now(),
    }


def _args() -> dict[str, str]:
    """Return the query parameters of the history, without those that are invalid."""
    kinds = _kinds()
    return {"kind": kinds[0]} if kinds else {}


def _kinds() -> list[str]:
    """Return the kind of entries in the URL, if there is one."""
    return [kind for kind in (request.args.get("kind"),) if kind in KIND_LABELS]


def _cursor() -> HistoryCursor | None:
    try:
        return HistoryCursor.parse(request.args.get("before", ""))
    except InvalidInput:
        return None
