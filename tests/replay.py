"""A history played from its beginning."""

from collections.abc import Iterable
from typing import Any

from apidevices.identity import DETAILS

Details = dict[str, str]


def details(device: dict[str, Any]) -> Details:
    """Return what is known of a device, of its JSON, by field."""
    return {field: device[field] for field in DETAILS if device[field] is not None}


def replay(history: Iterable[dict[str, Any]]) -> Details:
    """Return the details that a history leads to; its entries are JSON, the oldest first.

    It has one registration, at its beginning, and each change starts from what was known then and
    changes something.
    """
    known: Details = {}
    for number, entry in enumerate(history):
        assert (entry["kind"] == "registered") == (number == 0), f"{entry} is number {number}"
        assert entry["changes"] or number == 0, f"{entry} changes nothing"
        for field, change in entry["changes"].items():
            assert change["old"] == known.get(field), f"{entry} follows {known}"
            assert change["new"] not in (change["old"], None), f"{entry} says nothing new"
            known[field] = change["new"]
    return known
