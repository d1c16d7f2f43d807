"""Devices as CSV or JSON for downloads, in chunks: a million devices don't fit into memory."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from apidevices import audit, listing
from apidevices.database import Database
from apidevices.devices import by_ids
from apidevices.export.json_array import json_array
from apidevices.export.spreadsheet import BYTE_ORDER_MARK, csv_rows
from apidevices.listing import Filters, Sort
from apidevices.models import Device
from apidevices.representation import DeviceJson, device_json

CHUNK = 100
"""How many devices make up a chunk. It takes some milliseconds."""


def csv_chunks(devices: Iterable[Device]) -> Iterator[str]:
    """Yield CSV: UTF-8 with a byte order mark, and a header row with the names of the JSON fields.

    Cells that a spreadsheet would run as a formula start with an apostrophe.
    """
    yield BYTE_ORDER_MARK + csv_rows([list(DeviceJson.model_fields)])
    for chunk in _chunks(devices):
        yield csv_rows([list(fields.values()) for fields in chunk])


def json_chunks(devices: Iterable[Device]) -> Iterator[str]:
    """Return a JSON array of devices, as in the API."""
    return json_array(_chunks(devices))


def run(
    db: Database,
    chosen: Filters | Collection[int],
    extension: str,
    *,
    sort: Sort = "activity",
    actor: str,
    now: datetime,
) -> Iterator[str]:
    """Record an export in the audit log, and return its chunks.

    The devices and their order are those at the beginning, and each device is as it is when its
    chunk is made. No transaction is open between two chunks.

    Args:
        db: The database.
        chosen: Which devices: those that match filters, or those with these ids.
        extension: ``csv`` or ``json``.
        sort: The order of devices that match filters.
        actor: Who gets the devices.
        now: The current time.
    """
    details: dict[str, Any] = {"format": extension}
    if isinstance(chosen, Filters):
        details["filter"] = chosen.model_dump(mode="json", exclude_defaults=True)
        devices: Iterable[Device] = listing.iterate(db, chosen, sort, now=now)
    else:
        details["number"] = len(devices := by_ids(db, chosen))
    with db.write() as session:
        action = audit.Action.DEVICES_EXPORTED
        audit.record(session, action, "devices", actor=actor, at=now, **details)
    return csv_chunks(devices) if extension == "csv" else json_chunks(devices)


def _chunks(devices: Iterable[Device]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(devices)
    while chunk := [device_json(device) for device in islice(iterator, CHUNK)]:
        yield chunk
