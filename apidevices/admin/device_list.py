"""Settings > API Devices: the device list."""

from typing import Any

from flask import request, url_for
from flask.typing import ResponseReturnValue

from apidevices import clock, listing, state
from apidevices.admin.forms import FilterForm
from apidevices.admin.frame import blueprint
from apidevices.admin.htmx import is_poll, wants_fragment
from apidevices.errors import InvalidInput
from apidevices.listing import Cursor
from apidevices.rendering import render


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
        "list_args": list_args(),
        "now": clock.now(),
    }
    if not wants_fragment():
        return render("devices/list.html", **context)
    url = url_for(".device_list", **form.query)
    return render("devices/_filtered_list.html", **context), {"HX-Push-Url": url}


def list_args() -> dict[str, Any]:
    """Return the query parameters of a page of the list, as this request has them."""
    return {**FilterForm(request.args).query, "cursor": _cursor()}


def _cursor() -> Cursor | None:
    """Return the cursor in the URL. An invalid cursor means the first page."""
    try:
        return Cursor.parse(request.args.get("cursor", ""))
    except InvalidInput:
        return None
