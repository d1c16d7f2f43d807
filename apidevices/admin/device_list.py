"""Settings > API Devices: the device list."""

import re
import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from flask import redirect, request
from flask.typing import ResponseReturnValue

from apidevices import clock, devices, listing, state
from apidevices.admin import list_filters
from apidevices.admin.dialogs import show_form
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import is_poll, wants_fragment
from apidevices.admin.list_request import DeviceURLs, ListRequest
from apidevices.admin.list_view import ListView
from apidevices.admin.messages import flash
from apidevices.listing import PAGE_SIZE, Count, Page
from apidevices.models import MAX_ID, Device
from apidevices.rendering import render

_SHOWN = re.compile(r"([0-9]{1,19})\.([0-9a-f]*)")
"""The id and the version of a row."""


@blueprint.get("/api-devices")
def device_list() -> ResponseReturnValue:
    """Show the device list, filtered, sorted and paged by the query string."""
    listed = ListRequest.current()
    is_form = "filtered" in request.args
    if is_form and request.args.get("version_below") and not listed.filters.application:
        flash("“Version below” needs an application, so it was left out.")
    if is_form and not wants_fragment():
        return redirect(listed.url())  # a plain form has sent its empty fields, too
    now = clock.now()
    page = _page(listed, now)
    if is_poll() and not page.count.number:
        return "", 204  # HTMX leaves the page as it is, and keeps polling for the first device
    if not wants_fragment():
        return render("devices/list.html", **_context(listed, page, now))
    # Typing in the search field must not add an entry to the history for each letter.
    is_search = request.headers.get("HX-Source", "").endswith("#filters")
    header = "HX-Replace-Url" if is_search else "HX-Push-Url"
    context = _context(listed, page, now)
    return render("devices/_filtered_list.html", **context), {header: listed.url()}


@blueprint.get("/api-devices/filters")
def filter_form() -> ResponseReturnValue:
    """Show the form that sets all filters."""
    listed = ListRequest.current()
    return show_form(
        "devices/_filters.html",
        title="Filter devices",
        back=listed.url(),
        back_label="API Devices",
        listed=listed,
        fields=list_filters.fields(listed, state.database()),
        labels=list_filters.LABELS,
        day_of=list_filters.day_of,
        tokens=list_filters.token_choices(state.database()),
        tags=listing.choices(state.database(), archived=listed.filters.archived).tag,
    )


@blueprint.get("/api-devices/updates")
def device_updates() -> ResponseReturnValue:
    """Return what has changed in a list that a browser shows, or 204.

    The query string is that of the list, with the ids and versions of its rows in ``shown``, and in
    ``list`` the version of its order.
    """
    listed, db, now = ListRequest.current(), state.database(), clock.now()
    if not wants_fragment():
        return redirect(listed.url())  # this is no page
    known = dict(_shown())
    found = {device.id: device for device in devices.by_ids(db, known)}
    changed = [found[key] for key in known if key in found and version(found[key]) != known[key]]
    first = None
    if _is_first(listed):
        first = listing.page(db, listed.filters, sort=listed.sort, now=now)
    order = _order(first)
    if not changed and len(found) == len(known) and order == request.args.get("list", ""):
        return "", 204
    arrived = [each for each in first.devices if each.id not in known] if first else []
    return render(
        "devices/_updates.html",
        **_row_context(listed, changed, ListView(), now),
        devices=changed,
        gone=[key for key in known if key not in found],
        order=order,
        arrived=arrived,
        first_seen=[each for each in arrived if each.id > max(known, default=0)],
        counts=listing.status_counts(
            db, listed.filters, known=first.count if first else None, now=now
        ),
    )


def list_fragment() -> str:
    """Return the list of this request, without the rest of its page."""
    listed, now = ListRequest.current(), clock.now()
    return render("devices/_list.html", **_context(listed, _page(listed, now), now))


def list_args() -> dict[str, Any]:
    """Return the query parameters of a page of the list, as this request has them."""
    return ListRequest.current().args


def row_context(device: Device) -> dict[str, Any]:
    """Return what the template of a row needs to know, in the list of this request."""
    return {
        "device": device,
        **_row_context(ListRequest.current(), [device], ListView(), clock.now()),
    }


def is_listed(device: Device) -> bool:
    """Return whether a device that was in the list of this request still has its status."""
    filters = ListRequest.current().filters
    is_archived = device.activity.archived_at is not None
    return filters.status in ("all", device.status) and filters.archived == is_archived


def version(device: Device) -> str:
    """Return a text that changes whenever the row of a device does."""
    activity = device.activity
    return _hash(
        device.name,
        device.status,
        device.application,
        device.application_version,
        device.os,
        device.os_version,
        device.manufacturer,
        device.model,
        device.blocked_until,
        *device.tags,
        *sorted(device.marks),
        activity.last_activity_at,
        activity.last_upload_at,
    )


def _page(listed: ListRequest, now: datetime) -> Page:
    db = state.database()
    page = listing.page(db, listed.filters, listed.cursor, sort=listed.sort, now=now)
    if listed.cursor and not page.devices:  # the cursor points beyond the end of the list
        page = listing.page(db, listed.filters, sort=listed.sort, now=now)
    return page


def _context(listed: ListRequest, page: Page, now: datetime) -> dict[str, Any]:
    db = state.database()
    view = ListView()
    return {
        "filters": listed.filters,
        "page": page,
        "view": view,
        "chips": list_filters.chips(listed, db),
        "counts": listing.status_counts(db, listed.filters, known=page.count, now=now),
        "archived": _archived(listed, page, now),
        "order": _order(page if _is_first(listed) else None),
        **_row_context(listed, page.devices, view, now),
    }


def _archived(listed: ListRequest, page: Page, now: datetime) -> Count | None:
    """Return how many archived devices the list leaves out.

    None if it leaves out none, or has several pages: then the number is no help, but may be slow.
    """
    filters, is_whole = listed.filters, not (page.newer or page.older)
    if filters.archived or (filters and not is_whole):
        return None
    count = listing.archived_count(state.database(), filters, now=now)
    return count if count.number else None


def _row_context(
    listed: ListRequest, shown: Iterable[Device], view: ListView, now: datetime
) -> dict[str, Any]:
    return {
        "listed": listed,
        "urls": DeviceURLs(listed.args),
        "columns": view.columns,
        "ranks": view.ranks,
        "version": version,
        "now": now,
        **view.extras(list(shown)),
    }


def _is_first(listed: ListRequest) -> bool:
    """Return whether new devices belong on this page."""
    return listed.cursor is None


def _order(first: Page | None) -> str:
    """Return a text that changes whenever another device belongs on the first page."""
    return _hash(*sorted(device.id for device in first.devices), first.count) if first else ""


def _shown() -> Iterable[tuple[int, str]]:
    """Yield the ids and versions of the rows that the browser shows."""
    for text in request.args.get("shown", "").split(",")[:PAGE_SIZE]:
        if match := _SHOWN.fullmatch(text):
            device_id, known = int(match[1]), match[2]
            if device_id <= MAX_ID:
                yield device_id, known


def _hash(*values: object) -> str:
    return f"{zlib.crc32(repr(values).encode('utf-8', 'surrogatepass')):x}"
