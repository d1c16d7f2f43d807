"""Entries of blocks, their ends and tags in the history of devices."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, literal, select
from sqlalchemy.orm import InstrumentedAttribute

from apidevices.clock import rfc3339
from apidevices.database import Database
from apidevices.models import Device, DeviceHistory, UTCDateTime

MAX_ENTRIES = 1_000
"""Up to this many devices get an audit entry each. More would make the log unreadable and slow."""


def block_details(reason: str | None, until: datetime | None) -> dict[str, Any]:
    """Return the details of a block, for the history and the audit log."""
    return {"reason": reason} if until is None else {"reason": reason, "until": rfc3339(until)}


def add_history(
    db: Database,
    connection: Connection,
    ids: Collection[int],
    kind: str,
    at: datetime | InstrumentedAttribute[datetime | None],
    actor: str,
    details: dict[str, Any] | None = None,
) -> None:
    """Add an entry to the history of each device, in one statement.

    Args:
        db: The database.
        connection: The connection of the transaction that changes the devices.
        ids: The ids of the devices.
        kind: The kind of the entries.
        at: The time of the entries, or the column of ``Device`` that has it.
        actor: Who has changed the devices.
        details: The details of the entries.
    """
    row = DeviceHistory
    columns: list[Any] = [row.device_id, row.kind, row.at, row.changes, row.actor, row.details]
    values: list[ColumnElement[Any] | Any] = [
        Device.id,
        literal(kind),
        literal(at, UTCDateTime()) if isinstance(at, datetime) else at,
        literal({}, row.changes.type),
        literal(actor),
        literal(details, row.details.type),
    ]
    chosen = select(*values).where(Device.id.in_(db.id_list(ids))).order_by(Device.id)
    connection.execute(insert(row).from_select(columns, chosen))


def add_tag_history(
    db: Database,
    connection: Connection,
    kind: str,
    tags: Mapping[int, Iterable[str]],
    at: datetime,
    actor: str,
) -> None:
    """Add an entry to the history of each device, in one statement for those with equal tags.

    Args:
        db: The database.
        connection: The connection of the transaction that changes the devices.
        kind: The kind of the entries: ``tagged`` or ``untagged``.
        tags: Id of a device -> the tags that it has gained or lost. Without any, it gets no entry.
        at: The time of the entries.
        actor: Who has changed the devices.
    """
    alike: dict[tuple[str, ...], list[int]] = {}
    for device_id, changed in tags.items():
        if key := tuple(changed):
            alike.setdefault(key, []).append(device_id)
    for key, ids in alike.items():
        add_history(db, connection, sorted(ids), kind, at, actor, {"tags": list(key)})
