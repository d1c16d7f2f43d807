"""The history of a device as CSV or JSON."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from apidevices import audit, devices
from apidevices.database import Database
from apidevices.export.json_array import json_array
from apidevices.export.spreadsheet import BYTE_ORDER_MARK, csv_rows
from apidevices.history_representation import history_json
from apidevices.models import DeviceHistory

CHUNK = 500
"""How many entries make up a chunk."""

_COLUMNS = (
    *("id", "at", "kind", "changes", "tags", "merged", "alias"),
    *("reason", "until", "denied", "first_denied_at", "actor", "token", "address"),
)


def run_history(
    db: Database,
    device_id: int,
    extension: str,
    *,
    kinds: Collection[str] = (),
    actor: str,
    now: datetime,
) -> Iterator[str]:
    """Record an export of a device's history in the audit log; return its chunks, newest first.

    Args:
        db: The database.
        device_id: The id of the device.
        extension: ``csv`` or ``json``.
        kinds: The kinds of entries; empty for all.
        actor: Who gets the history.
        now: The current time.
    """
    with db.write() as session:
        action, subject = audit.Action.HISTORY_EXPORTED, f"device:{device_id}"
        audit.record(session, action, subject, actor=actor, at=now, format=extension)
    chunks = _chunks(devices.iterate_history(db, device_id, kinds=kinds))
    return _csv(chunks) if extension == "csv" else json_array(chunks)


def _csv(chunks: Iterable[list[dict[str, Any]]]) -> Iterator[str]:
    yield BYTE_ORDER_MARK + csv_rows([_COLUMNS])
    for chunk in chunks:
        yield csv_rows(map(_row, chunk))


def _row(entry: dict[str, Any]) -> list[Any]:
    details, denied = entry["details"] or {}, entry["denied"] or {}
    changes = [
        f"{field}: {change['old'] or ''} → {change['new'] or ''}"
        for field, change in entry["changes"].items()
    ]
    flat = {
        **entry,
        "changes": "\n".join(changes),
        "merged": entry["merged"] and entry["merged"]["identifier"],
        "reason": details.get("reason"),
        "until": details.get("until"),
        "denied": denied.get("count"),
        "first_denied_at": denied.get("first_at"),
        "token": entry["token"] and entry["token"]["name"],
    }
    return [flat[column] for column in _COLUMNS]


def _chunks(entries: Iterable[DeviceHistory]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(entries)
    while chunk := list(map(history_json, islice(iterator, CHUNK))):
        yield chunk
