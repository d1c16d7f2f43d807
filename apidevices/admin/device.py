"""The page of a device, and its history."""

from typing import Any

from flask import request
from flask.typing import ResponseReturnValue

from apidevices import audit, clock, devices, lookalikes, state
from apidevices.admin.device_list import list_args
from apidevices.admin.frame import blueprint
from apidevices.models import MAX_ID, Device
from apidevices.rendering import render

DEVICE = f"/api-devices/<int(max={MAX_ID}):device_id>"
"""The path of a device's page."""


@blueprint.get(DEVICE)
def device(device_id: int) -> ResponseReturnValue:
    """Show one device."""
    found = devices.get(state.database(), device_id)
    return render("devices/detail.html", **device_context(found))


@blueprint.get(f"{DEVICE}/history")
def device_history(device_id: int) -> ResponseReturnValue:
    """Show one page of a device's history."""
    found = devices.get(state.database(), device_id)
    before = request.args.get("before", type=_row_id)
    history = _history_context(found, before)
    context = {"device": found, "list_args": list_args(), "now": clock.now()}
    return render("devices/history.html", **context, **history)


def device_context(found: Device) -> dict[str, Any]:
    """Return what the templates of the page need to know about a device."""
    db = state.database()
    return {
        "device": found,
        "lookalikes": lookalikes.of_device(found),
        "tokens_used": devices.tokens_used(db, found.id),
        "denied_token": devices.last_denied_token(db, found),
        "list_args": list_args(),
        "panels": state.current().slots.device_panels(found),
        "now": clock.now(),
        **_history_context(found),
    }


def _history_context(found: Device, before: int | None = None) -> dict[str, Any]:
    entries, older = devices.history_page(state.database(), found.id, before)
    return {"history": entries, "older_history": older, "end_of_block": audit.END_OF_BLOCK}


def _row_id(text: str) -> int:
    """Parse the id of a row.

    Raises:
        ValueError: The text is not a valid id.
    """
    number = int(text)
    if not 0 <= number <= MAX_ID:
        raise ValueError(text)
    return number
