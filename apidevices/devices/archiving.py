"""Archive devices that are no longer in use, and bring them back.

The list leaves archived devices out. Nothing else about them changes: a block stays, and the next
request of the device brings it back, see ``activity.writer``. That adds no entry to the history,
because it would cost a write for each device.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, update
from sqlalchemy.orm import Session

from apidevices import signals
from apidevices.audit import Action
from apidevices.database import Database
from apidevices.devices.bulk import Change
from apidevices.devices.changes import Check, allow
from apidevices.devices.chosen import Chosen
from apidevices.devices.editing import editing
from apidevices.devices.records import add_history
from apidevices.models import Device, DeviceActivity


def archive(
    db: Database, device_id: int, *, actor: str, now: datetime, check: Check = allow
) -> Device:
    """Archive a device until its next request. Idempotent.

    Raises:
        DeviceNotFound: No device has this id.
    """
    with editing(db, device_id, actor=actor, now=now, check=check) as edit:
        if edit.device.activity.archived_at is None:
            edit.device.activity.archived_at = now
            edit.record(Action.DEVICE_ARCHIVED, signals.device_archived)
    return edit.device


def unarchive(
    db: Database, device_id: int, *, actor: str, now: datetime, check: Check = allow
) -> Device:
    """Bring a device back from the archive. Idempotent.

    Raises:
        DeviceNotFound: No device has this id.
    """
    with editing(db, device_id, actor=actor, now=now, check=check) as edit:
        if edit.device.activity.archived_at is not None:
            edit.device.activity.archived_at = None
            edit.record(Action.DEVICE_UNARCHIVED, signals.device_unarchived)
    return edit.device


def archive_all(db: Database, chosen: Chosen, *, actor: str, now: datetime) -> list[int]:
    """Archive devices. Idempotent. Transactions and result are as for ``block_all``.

    Raises:
        Conflict: The filters match another number of devices than expected. None is archived.
    """
    return Archive(db, actor, now).run(chosen)


def unarchive_all(db: Database, chosen: Chosen, *, actor: str, now: datetime) -> list[int]:
    """Bring devices back from the archive. Idempotent. Transactions and result as above.

    Raises:
        Conflict: The filters match another number of devices than expected. None is changed.
    """
    return Unarchive(db, actor, now).run(chosen)


class Archive(Change):
    """Archives devices that are not archived yet."""

    action, action_for_all = Action.DEVICE_ARCHIVED, Action.DEVICES_ARCHIVED
    signal = signals.device_archived

    def apply(self, session: Session, ids: Sequence[int]) -> Sequence[int]:
        """Archive those that are not archived."""
        is_listed = DeviceActivity.archived_at.is_(None)
        changed = _set(self.db, session, ids, is_listed, self.now)
        self._add_history(session, changed)
        return changed


class Unarchive(Change):
    """Brings devices back from the archive."""

    action, action_for_all = Action.DEVICE_UNARCHIVED, Action.DEVICES_UNARCHIVED
    signal = signals.device_unarchived

    def apply(self, session: Session, ids: Sequence[int]) -> Sequence[int]:
        """Bring back those that are archived."""
        changed = _set(self.db, session, ids, DeviceActivity.archived_at.is_not(None), None)
        self._add_history(session, changed)
        return changed


def is_stale(days: int, now: datetime) -> ColumnElement[bool]:
    """Return the condition that a device is to be archived after some days without a request.

    A blocked device that keeps trying stays in the list.
    """
    row, end = DeviceActivity, now - timedelta(days=days)
    has_not_tried = or_(row.last_denied_at.is_(None), row.last_denied_at < end)
    return and_(row.archived_at.is_(None), row.last_active_at < end, has_not_tried)


def archive_rows(
    db: Database, session: Session, rows: ColumnElement[bool], *, actor: str, now: datetime
) -> int:
    """Archive the devices of locked rows of ``DeviceActivity``; return their number.

    It sends no signals and adds nothing to the audit log.
    """
    change = update(DeviceActivity).where(rows).values(archived_at=now)
    connection = session.connection()
    changed = connection.scalars(change.returning(DeviceActivity.device_id)).all()
    add_history(db, connection, changed, "archived", now, actor)
    return len(changed)


def _set(
    db: Database,
    session: Session,
    ids: Sequence[int],
    condition: ColumnElement[bool],
    archived_at: datetime | None,
) -> Sequence[int]:
    """Set the time of the archived devices that fulfill a condition; return their ids in order."""
    row: Any = DeviceActivity
    connection = session.connection()
    db.lock(connection, row.device_id, ids)
    change = update(row).where(row.device_id.in_(db.id_list(ids)), condition)
    changed = connection.scalars(change.values(archived_at=archived_at).returning(row.device_id))
    return sorted(changed)
