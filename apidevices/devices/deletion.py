"""Delete devices, with everything that is stored about them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Row,
    Select,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    true,
    update,
)
from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Session

from apidevices import audit, signals
from apidevices.database import Database
from apidevices.devices.changes import Check, allow
from apidevices.devices.queries import load
from apidevices.listing import search
from apidevices.models import (
    AuditEntry,
    Details,
    Device,
    DeviceActivity,
    DeviceAlias,
    DeviceDay,
    DeviceDenials,
    DeviceHistory,
    DeviceKeys,
    DeviceMark,
    DeviceTag,
    DeviceToken,
    OperationDevice,
)

BLOCK = ("blocked_at", "blocked_until", "block_reason", "blocked_by")


def delete(
    db: Database,
    device_id: int,
    *,
    keep_block: bool = False,
    actor: str,
    now: datetime,
    check: Check = allow,
) -> Device:
    """Delete a device and everything that is stored about it, and return what it was.

    Its identifier is unknown from then on: the next request with it registers a new device, which
    is not blocked even if this one was. With ``keep_block``, the identifier of a blocked device and
    its block are stored as a new device with another id, about which nothing else is known.

    The audit log keeps who did what and when to the device with this id, without details.

    Raises:
        DeviceNotFound: No device has this id.
    """
    with db.write() as session:
        device = load(session, device_id, lock=True)
        check(device)
        session.expunge_all()
        delete_rows(db, session, [device_id], keep_blocks_at=now if keep_block else None)
        audit.record(
            session,
            audit.Action.DEVICE_DELETED,
            f"device:{device_id}",
            actor=actor,
            at=now,
            **deletion_details(keep_block),
        )
    search.remove_deleted(db)
    signals.send_for(signals.device_deleted, device)
    return device


def deletion_details(keep_block: bool) -> dict[str, Any]:
    """Return the details of a deletion for the audit log: nothing about the device itself."""
    return {"keep_block": True} if keep_block else {}


def delete_rows(
    db: Database, session: Session, ids: Collection[int], *, keep_blocks_at: datetime | None = None
) -> None:
    """Delete locked devices, all rows that belong to them, and what the audit log says about them.

    ``ON DELETE CASCADE`` would do for the extension's own tables, too, but runs once per device and
    table, and not at all if a host application leaves SQLite's foreign keys off.

    Args:
        db: The database.
        session: The session that has locked the devices.
        ids: The ids of the devices.
        keep_blocks_at: Keep the identifiers and blocks of devices that are blocked at this time.
    """
    connection, id_list = session.connection(), db.id_list(ids)
    kept: Sequence[Row[Any]] = ()
    aliases: Sequence[Row[Any]] = ()
    if keep_blocks_at is not None:
        columns = (Device.identifier, *(getattr(Device, name) for name in BLOCK))
        is_kept = and_(Device.id.in_(id_list), Device.blocked_condition(keep_blocks_at))
        kept = connection.execute(select(*columns).where(is_kept)).all()
        alias = DeviceAlias.__table__
        of_kept = select(Device.identifier.label("of"), alias).join_from(
            Device, alias, alias.c.device_id == Device.id
        )
        aliases = connection.execute(of_kept.where(is_kept)).all()
    # Activity writes lock these rows before they refer to a device. So do we, and can't deadlock.
    db.lock(connection, DeviceActivity.device_id, ids)
    remove(db, session, ids)
    _clear_log(db, session, ids)
    if kept:
        _store_blocks(db, session, kept, aliases)


def remove(db: Database, session: Session, ids: Collection[int]) -> None:
    """Delete locked devices and all rows that belong to them, but nothing in the audit log."""
    connection, id_list = session.connection(), db.id_list(ids)
    details = select(DeviceKeys.details_id).where(DeviceKeys.device_id.in_(id_list)).distinct()
    details_ids = connection.scalars(details).all()
    for rows in (
        DeviceToken,
        DeviceHistory,
        DeviceTag,
        DeviceKeys,
        DeviceDay,
        DeviceDenials,
        DeviceMark,
        DeviceAlias,
        OperationDevice,
        DeviceActivity,
    ):
        connection.execute(delete_from(rows).where(rows.device_id.in_(id_list)))
    connection.execute(delete_from(DeviceMark).where(DeviceMark.other_id.in_(id_list)))
    connection.execute(delete_from(Device).where(Device.id.in_(id_list)))
    _delete_unused_details(db, session, details_ids)


def _clear_log(db: Database, session: Session, ids: Collection[int]) -> None:
    """Delete the details of audit entries about devices, and about those merged into them."""
    row = AuditEntry
    while ids:
        is_about = row.subject.in_(_subjects(db, ids))
        merges = select(row.details).where(is_about, row.action == audit.Action.DEVICE_MERGED)
        merged = [details["merged"] for details in session.scalars(merges) if details]
        session.connection().execute(update(row).where(is_about).values(details={}))
        ids = merged


def _subjects(db: Database, ids: Collection[int]) -> Select[Any]:
    device_id = cast(db.id_list(ids).subquery().c[0], Text)
    return select(literal("device:").concat(device_id))


def _delete_unused_details(db: Database, session: Session, ids: Collection[int]) -> None:
    """Delete combinations of details that no device has any more."""
    unused = ~exists().where(DeviceKeys.details_id == Details.id)
    candidates = select(Details.id).where(Details.id.in_(db.id_list(ids)), unused)
    # A combination that is locked is about to be used. After the locks, a new statement sees the
    # devices that were registered in the meantime.
    locked = session.scalars(candidates.with_for_update(skip_locked=True)).all()
    session.connection().execute(
        delete_from(Details).where(Details.id.in_(db.id_list(locked)), unused)
    )


def _store_blocks(
    db: Database, session: Session, kept: Sequence[Row[Any]], aliases: Sequence[Row[Any]]
) -> None:
    """Insert devices of which only the identifier, the aliases and the block are known.

    They have new ids: activity that other processes have not written yet belongs to the old ones,
    and must not be stored any more.
    """
    connection = session.connection()
    aliases_of = defaultdict(list)
    for alias in aliases:
        aliases_of[alias.of].append(alias.identifier)
    rows = [
        {
            **block._mapping,
            "first_seen_at": block.blocked_at,
            "search_key": search.search_key(
                block.identifier, None, sorted(aliases_of[block.identifier])
            ),
        }
        for block in kept
    ]
    if db.engine.dialect.name == "sqlite":
        first = connection.scalars(text(search.NEXT_DEVICE_ID)).one()
        rows = [{**row, "id": first + number} for number, row in enumerate(rows)]
    stored = connection.execute(insert(Device).returning(Device.identifier, Device.id), rows)
    id_of = {device.identifier: device.id for device in stored}
    ids = id_of.values()
    activity = DeviceActivity
    key = Device.search_key
    connection.execute(
        insert(activity).from_select(
            [
                activity.device_id,
                activity.blocked,
                activity.last_active_at,
                activity.last_activity_at,
                activity.search_key,
            ],
            select(
                Device.id,
                true(),
                Device.blocked_at,
                Device.blocked_at,
                case((func.length(key) <= search.SHORT_KEY, key)),
            ).where(Device.id.in_(db.id_list(ids))),
        )
    )
    if aliases:
        values = [
            {
                "identifier": alias.identifier,
                "device_id": id_of[alias.of],
                "former_id": alias.former_id,
                "merged_at": alias.merged_at,
                "merged_by": alias.merged_by,
            }
            for alias in aliases
        ]
        connection.execute(insert(DeviceAlias), values)
