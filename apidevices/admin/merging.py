"""The pages that merge a device into another one, and remove an alias."""

from typing import Any
from urllib.parse import urlencode

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from apidevices import clock, devices, listing, state
from apidevices.admin.device import DEVICE, device_context
from apidevices.admin.device_list import list_args
from apidevices.admin.dialogs import is_submitted, show_form
from apidevices.admin.forms import AdminForm
from apidevices.admin.frame import blueprint, error_page
from apidevices.admin.htmx import is_htmx, wants_fragment
from apidevices.admin.messages import flash
from apidevices.errors import Conflict, DeviceMerged
from apidevices.listing import Filters
from apidevices.models import MAX_ID, Device
from apidevices.rendering import render

METHODS = ("GET", "POST")

FOUND = 20
"""How many devices the search shows at most."""


@blueprint.errorhandler(DeviceMerged)
def _follow(error: DeviceMerged) -> ResponseReturnValue:
    """Redirect from the page of a merged device to the same page of the other one."""
    arguments: dict[str, Any] = request.view_args or {}
    if request.method != "GET" or is_htmx() or arguments.get("device_id") != error.device_id:
        return error_page(error)
    url = url_for(str(request.endpoint), **{**arguments, "device_id": error.into_id})
    # Not as arguments of url_for(), which gives names such as "_scheme" a meaning.
    query = urlencode(list(request.args.items(multi=True)))
    return redirect(f"{url}?{query}" if query else url)


@blueprint.route(f"{DEVICE}/merge", methods=METHODS)
def merge_device(device_id: int) -> ResponseReturnValue:
    """Choose the device to merge into this one, or confirm that: see the parameter ``from``."""
    db = state.database()
    device = devices.get(db, device_id)
    if "from" not in request.args:
        return render("devices/merge.html", device=device, **_search(device))
    merged = devices.get(db, request.args.get("from", MAX_ID, int))
    if merged.id == device.id:
        raise Conflict("A device can't be merged into itself.")
    form = AdminForm()
    if is_submitted(form):
        return _merge(merged, device)
    return show_form(
        "devices/_merge.html",
        title=f"Merge a device into {device.display_name}",
        back=_url(device),
        back_label=device.display_name,
        action=_merge_url(merged, device),
        swapped=_merge_url(device, merged),
        pair=(merged, device),
        newer=max(merged, device, key=lambda each: each.activity.last_active_at),
        now=clock.now(),
    )


def _search(device: Device) -> dict[str, Any]:
    """Return what the search of the page needs."""
    text = request.args.get("q", "").strip()
    # Devices that have been silent since they got a new identifier may be archived.
    filters = [Filters(name=text), Filters(name=text, archived=True)] if text else []
    found = [each for some in filters for each in listing.page(state.database(), some).devices]
    others = [each for each in found if each.id != device.id]
    return {
        "text": text,
        "found": others[:FOUND],
        "has_more": len(others) > FOUND,
        "list_args": list_args(),
        "now": clock.now(),
    }


def _merge(merged: Device, device: Device) -> ResponseReturnValue:
    current = state.current()
    now, actor = clock.now(), current.actor()
    into = f"“{device.display_name}”"
    if merged.name and not device.name:
        into += ", which has taken over its name"
    result = devices.merge(
        current.db, merged.id, device.id, moves=current.moves, actor=actor, now=now
    )
    blocked = " The device is blocked." if result.status == "blocked" else ""
    flash(f"“{merged.display_name}” was merged into {into}.{blocked}")
    url = _url(result)
    return ("", {"HX-Redirect": url}) if wants_fragment() else redirect(url, 303)


@blueprint.route(f"{DEVICE}/unalias", methods=METHODS)
def remove_alias(device_id: int) -> ResponseReturnValue:
    """Remove an alias of a device."""
    device = devices.get(state.database(), device_id)
    identifier = request.args.get("identifier", "")
    form = AdminForm()
    if is_submitted(form):
        actor, now = state.current().actor(), clock.now()
        changed = devices.remove_alias(
            state.database(), device_id, identifier, actor=actor, now=now
        )
        flash(f"The alias “{identifier}” was removed.")
        if wants_fragment():
            return render("devices/_changed_device.html", **device_context(changed))
        return redirect(_url(changed), 303)
    return show_form(
        "devices/_unalias.html",
        title=f"Remove an alias of {device.display_name}",
        back=_url(device),
        back_label=device.display_name,
        action=url_for(".remove_alias", device_id=device_id, identifier=identifier, **list_args()),
        device=device,
        identifier=identifier,
    )


def _merge_url(merged: Device, device: Device) -> str:
    arguments: dict[str, Any] = {"device_id": device.id, "from": merged.id, **list_args()}
    return url_for(".merge_device", **arguments)


def _url(device: Device) -> str:
    return url_for(".device", device_id=device.id, **list_args())
