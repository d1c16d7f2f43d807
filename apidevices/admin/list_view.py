"""How the account of a request wants to see the device list."""

from collections.abc import Mapping, Sequence
from typing import Any

from apidevices import devices, preferences, state
from apidevices.models import ApiToken, Device
from apidevices.preferences import DEFAULT_COLUMNS

COLUMNS: Mapping[str, str] = {
    "application": "Application",
    "model": "Manufacturer and model",
    "system": "System",
    "tags": "Tags",
    "first_seen": "First seen",
    "last_upload": "Last upload",
    "token": "Token",
    "address": "Address",
}
"""The headings of the columns that can be hidden, in the order of the table."""


class ListView:
    """The columns, the height of the rows, and whether keyboard shortcuts are on."""

    def __init__(self) -> None:
        chosen = preferences.load(state.database(), state.current().actor())
        self.columns: Sequence[str] = [key for key in chosen["columns"] if key in self.all_columns]
        self.density = chosen["density"]
        self.shortcuts = chosen["shortcuts"]

    @property
    def all_columns(self) -> Mapping[str, str]:
        """The headings of the columns to choose from."""
        if state.current().requires_tokens:
            return COLUMNS
        return {key: label for key, label in COLUMNS.items() if key != "token"}

    @property
    def ranks(self) -> Mapping[str, int]:
        """How early each column appears as the page gets wider, starting with 1.

        Columns that the account has added come before those that everybody sees.
        """
        added_first = sorted(self.columns, key=lambda each: each in DEFAULT_COLUMNS)
        return {column: rank for rank, column in enumerate(added_first, 1)}

    def extras(self, shown: Sequence[Device]) -> dict[str, Mapping[int, Any]]:
        """Return what the chosen columns show that is not part of a device, by its id."""
        ids = [device.id for device in shown]
        tokens: Mapping[int, ApiToken] = {}
        addresses: Mapping[int, str] = {}
        if "token" in self.columns:
            tokens = devices.latest_tokens(state.database(), ids)
        if "address" in self.columns:
            addresses = devices.latest_addresses(state.database(), ids)
        return {"tokens": tokens, "addresses": addresses}
