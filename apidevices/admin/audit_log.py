"""Settings > Audit log: who did what, to what, and when."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from apidevices import audit, clock, devices, export, listing, state
from apidevices.admin import times
from apidevices.admin.dialogs import show_form
from apidevices.admin.export import download
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import wants_fragment
from apidevices.admin.log_request import LogRequest
from apidevices.audit import LogPage
from apidevices.errors import DeviceNotFound
from apidevices.listing import Filters
from apidevices.models import AuditEntry
from apidevices.rendering import environment, render
from apidevices.text import MAX_LENGTH

MAX_OPTIONS = 200
"""How many persons and actions the form offers. With more persons, it has a text field."""

LABELS = {
    "actor": "Person",
    "action": "Action",
    "device": "Device",
    "from": "From",
    "to": "To",
}
"""The names of the filters."""


class Chip(NamedTuple):
    """A filter that is set. ``url`` is the log without it."""

    label: str
    value: str
    url: str


@blueprint.get("/audit-log")
def audit_log() -> ResponseReturnValue:
    """Show the audit log, filtered and paged by the query string."""
    logged = LogRequest.current()
    wanted = request.args.get("find", "").strip()[:MAX_LENGTH]
    unknown = None
    if wanted:  # the form has the name or identifier of a device, the URL its id
        device_id, unknown = _find(wanted)
        if device_id is not None:
            logged = LogRequest.parse({**logged.filter_args, "device": str(device_id)})
    if "filtered" in request.args and not unknown and not wants_fragment():
        return redirect(logged.url())  # a plain form has sent its empty fields, too
    context = _context(logged, unknown)
    if not wants_fragment():
        return render("log/page.html", **context)
    headers = {} if unknown else {"HX-Push-Url": logged.url()}
    return render("log/_changed_log.html", **context), headers


@blueprint.get("/audit-log/filters")
def audit_log_filters() -> ResponseReturnValue:
    """Show the form that sets all filters."""
    logged, db = LogRequest.current(), state.database()
    return show_form(
        "log/_filters.html",
        title="Filter the audit log",
        back=logged.url(),
        back_label="Audit log",
        logged=logged,
        labels=LABELS,
        device=_device_name(logged.filters.device),
        actors=audit.actors(db, MAX_OPTIONS + 1),
        actions=audit.actions(db, MAX_OPTIONS),
        max_options=MAX_OPTIONS,
    )


@blueprint.get("/audit-log/export.<any(csv, jsonl):extension>")
def export_audit_log(extension: str) -> ResponseReturnValue:
    """Download the entries that match the filters."""
    now, filters = clock.now(), LogRequest.current().filters
    actor = state.current().actor()
    chunks = export.run_log(state.database(), filters, extension, actor=actor, now=now)
    return download(chunks, "audit-log", extension, now)


def action_label(action: str) -> str:
    """Return the name of an action in words, such as "Device blocked"."""
    return audit.words(action).capitalize()


def _context(logged: LogRequest, unknown: str | None) -> dict[str, Any]:
    db = state.database()
    page = LogPage([], None, None) if unknown else audit.page(db, logged.filters, logged.cursor)
    if logged.cursor and not page.entries:  # the cursor points beyond the end
        page = audit.page(db, logged.filters)
    names = audit.names(db, page.entries)
    return {
        "logged": logged,
        "page": page,
        "unknown": unknown,
        "chips": _chips(logged),
        "sentences": {entry.id: audit.sentence(entry, names) for entry in page.entries},
        "urls": _subject_urls(page.entries, names),
        "now": clock.now(),
    }


def _chips(logged: LogRequest) -> Sequence[Chip]:
    shown = dict(logged.filter_args)
    if "device" in shown:
        shown["device"] = _device_name(logged.filters.device) or f"number {shown['device']}"
    if "action" in shown:
        shown["action"] = action_label(shown["action"])
    return [Chip(LABELS[name], text, logged.url(**{name: None})) for name, text in shown.items()]


def _subject_urls(entries: Sequence[AuditEntry], names: Mapping[str, str]) -> dict[str, str]:
    """Return the pages of the subjects that still exist."""
    urls = {}
    for subject in {entry.subject for entry in entries} & names.keys():
        kind, _, number = subject.partition(":")
        if kind == "device":
            urls[subject] = url_for(".device", device_id=number)
        elif kind == "token" and state.current().uses_tokens:
            urls[subject] = url_for(".token_list", _anchor=f"token-{number}")
    return urls


def _device_name(device_id: int | None) -> str | None:
    if device_id is None:
        return None
    try:
        return devices.get(state.database(), device_id).display_name
    except DeviceNotFound:
        return None


def _find(text: str) -> tuple[int | None, str | None]:
    """Find a device by its identifier or its name; return its id, or why there is none."""
    db = state.database()
    try:
        return devices.by_identifier(db, text).id, None
    except DeviceNotFound:
        lists = (Filters(name=text), Filters(name=text, archived=True))
        pages = [listing.page(db, filters, now=clock.now()) for filters in lists]
        found = [device for page in pages for device in page.devices]
    named = [device for device in found if device.display_name.casefold() == text.casefold()]
    chosen = named or found
    if len(chosen) == 1:
        return chosen[0].id, None
    number = "No device has" if not chosen else "Several devices have"
    return None, f"{number} “{text}” in the name or identifier."


environment.globals["apidevices_action_label"] = action_label
environment.filters["apidevices_times"] = times.in_text
