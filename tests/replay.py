"""Replay a device's history."""

from collections.abc import Iterable
from typing import Any

from apidevices.identity import DETAILS

Details = dict[str, str]


def details(device: dict[str, Any]) -> Details:
    """Return the known details of a device, given as JSON, by field."""
    return {field: device[field] for field in DETAILS if device[field] is not None}


def replay(history: Iterable[dict[str, Any]]) -> Details:
    """Return the details after applying all reports of a history, given as JSON, oldest first.

    Raises:
        AssertionError: The history is inconsistent. Only its first report may be a registration,
            and each change must name the previous value and differ from it.
    """
    known: Details = {}
    reports = [entry for entry in history if entry["kind"] in ("registered", "changed")]
    for number, entry in enumerate(reports):
        assert (entry["kind"] == "registered") == (number == 0), f"entry {number} is {entry}"
        assert entry["changes"] or number == 0, f"{entry} contains no changes"
        for field, change in entry["changes"].items():
            assert change["old"] == known.get(field), f"{entry} does not follow from {known}"
            assert change["new"] not in (change["old"], None), f"{entry} does not change {field}"
            known[field] = change["new"]
    return known
