"""Replay a device's history."""

from collections.abc import Callable, Iterable
from typing import Any

from apidevices.identity import DETAILS

Details = dict[str, str]

Entry = dict[str, Any]
"""An entry of a history, given as JSON."""


def details(device: dict[str, Any]) -> Details:
    """Return the known details of a device, given as JSON, by field."""
    return {field: device[field] for field in DETAILS if device[field] is not None}


def replay(
    history: Iterable[Entry], identifier_of: Callable[[Entry], str] = lambda _: ""
) -> Details:
    """Return the details after applying all reports and merges of a history, oldest first.

    A merge joins two histories, so each registration begins a device until a merge ends it.

    Args:
        history: The history.
        identifier_of: Returns an identifier of the device that a report came from, or that stayed
            in a merge. Not needed for a device without merges.

    Raises:
        AssertionError: The history is inconsistent. Only the first report of a device may be a
            registration, and each change must name the previous value and differ from it. A merge
            takes either all known details of the merged device or none, and leaves one device.
    """
    known: dict[str, Details] = {}  # identifier -> details of its device, shared by all of them
    for entry in history:
        if entry["kind"] not in ("registered", "changed", "merged"):
            continue
        identifier = identifier_of(entry)
        is_first = identifier not in known
        assert (entry["kind"] == "registered") == is_first, f"{entry} is not the first"
        device = known.setdefault(identifier, {})
        before = dict(device)
        _change(device, entry)
        if entry["kind"] == "merged":
            merged = known.get(entry["merged"]["identifier"])
            assert merged is not None, f"{entry} precedes the merged device"
            assert merged is not device, f"{entry} merges a device into itself"
            assert device in (before, before | merged), f"{entry} does not follow from {merged}"
            known = {key: device if each is merged else each for key, each in known.items()}
    assert len({id(device) for device in known.values()}) <= 1, f"not one device: {known}"
    return next(iter(known.values()), {})


def _change(device: Details, entry: Entry) -> None:
    """Apply the changes of an entry to the details of a device."""
    changes = entry["changes"]
    assert changes or entry["kind"] != "changed", f"{entry} contains no changes"
    for field in changes.keys() & set(DETAILS):  # a merge may also change the name
        old, new = changes[field]["old"], changes[field]["new"]
        assert old == device.get(field), f"{entry} does not follow from {device}"
        assert new not in (old, None), f"{entry} does not change {field}"
        device[field] = new
