"""The devices that a request selects: one by one, or all that match the filters in its URL."""

from typing import Any

from flask import request

from apidevices import listing
from apidevices.devices import Chosen, Matching
from apidevices.errors import InvalidInput
from apidevices.listing import Filters, Sort
from apidevices.models import MAX_ID

MAX_IDS = 1_000
"""How many devices can be selected one by one."""


def filters() -> Filters:
    """Return the filters in the URL."""
    return Filters.lenient(request.args)


def sort() -> Sort:
    """Return the order in the URL."""
    return listing.sort_or_default(request.args.get("sort"))


def filter_args() -> dict[str, Any]:
    """Return the query parameters for the filters in the URL."""
    args: dict[str, list[str]] = {}
    for name, value in filters().query:
        args.setdefault(name, []).append(value)
    return args


def selected_ids() -> frozenset[int]:
    """Return the ids of the devices that are selected one by one.

    Raises:
        InvalidInput: There are more than ``MAX_IDS``.
    """
    ids = frozenset(request.values.getlist("id", type=int))
    if len(ids) > MAX_IDS:
        raise InvalidInput("id", f"Select up to {MAX_IDS:,} devices, or all that match filters.")
    return frozenset(device_id for device_id in ids if 0 < device_id <= MAX_ID)


def exported() -> Filters | frozenset[int]:
    """Return the selected ids, or the filters: those of ``all``, or without a selection.

    Raises:
        InvalidInput: More than ``MAX_IDS`` devices are selected one by one.
    """
    if request.args.get("all") == "1" or "id" not in request.args:
        return filters()
    return selected_ids()


def selected() -> Chosen:
    """Return all devices that match the filters if the request has ``all``, or the selected ids."""
    if request.values.get("all") == "1":
        return Matching(filters(), request.values.get("expected", type=int))
    return selected_ids()
