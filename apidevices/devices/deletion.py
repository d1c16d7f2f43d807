"""Delete devices, with everything that belongs to them."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Session

from apidevices import audit, signals
from apidevices.database import Database
from apidevices.devices.changes import Check, allow
from apidevices.devices.queries import load
from apidevices.listing import search
from apidevices.models import Device, DeviceActivity, DeviceHistory, DeviceTag, DeviceToken


def delete(
    db: Database, device_id: int, *, actor: str, now: datetime, check: Check = allow
) -> Device:
    """Delete a device with its activity, history and uploads, and return what it was.

    Its identifier is unknown from then on: the next request with it registers a new device, which
    is not blocked even if this one was.

    Raises:
        DeviceNotFound: No device has this id.
    """
    with db.write() as session:
        device = load(session, device_id, lock=True)
        check(device)
        audit.record(
            session,
            audit.Action.DEVICE_DELETED,
            f"device:{device_id}",
            actor=actor,
            at=now,
            identifier=device.identifier,
            name=device.name,
        )
        session.flush()
        session.expunge_all()
        delete_rows(db, session, [device_id])
    search.remove_deleted(db)
    signals.send(signals.device_deleted, lambda: device)
    return device


def delete_rows(db: Database, session: Session, ids: Collection[int]) -> None:
    """Delete locked devices and all rows that belong to them.

    ``ON DELETE CASCADE`` would do for the extension's own tables, too, but runs once per device and
    table, and not at all if a host application leaves SQLite's foreign keys off.
    """
    connection, id_list = session.connection(), db.id_list(ids)
    # Activity writes lock these rows before they refer to a device. So do we, and can't deadlock.
    db.lock(connection, DeviceActivity.device_id, ids)
    for rows in (DeviceToken, DeviceHistory, DeviceTag, DeviceActivity):
        connection.execute(delete_from(rows).where(rows.device_id.in_(id_list)))
    connection.execute(delete_from(Device).where(Device.id.in_(id_list)))
