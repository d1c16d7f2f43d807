"""The stale rule: archive devices that have not sent a request for some days."""

from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from apidevices import audit, devices
from apidevices.audit import Action
from apidevices.config import ARCHIVE_DAYS
from apidevices.database import Database
from apidevices.models import AuditEntry, DeviceActivity
from apidevices.upkeep import Task


def task(db: Database, days: int, *, actor: str = audit.STALE_RULE) -> Task:
    """Return the task that archives devices without a request in some days; 0 to archive none.

    The condition is part of each update: a device that becomes active in the meantime stays. All
    devices of a run share one entry of the audit log, which is written with the first of them and
    counts the others, so that it is right even if the run is interrupted.

    Args:
        db: The database.
        days: After how many days to archive a device.
        actor: Who archives the devices.
    """

    def archive(session: Session, rows: ColumnElement[bool], now: datetime) -> int:
        return devices.archive_rows(db, session, rows, actor=actor, now=now)

    return Task(
        description="Archive inactive devices",
        key=DeviceActivity.device_id.expression,
        due=partial(devices.is_stale, days),
        change=archive,
        days=days,
        setting=ARCHIVE_DAYS,
        record=partial(_record, days, actor),
    )


def _record(
    days: int, actor: str, session: Session, entry_id: int | None, number: int, now: datetime
) -> int:
    """Record how many devices a run has archived; return the id of the entry."""
    details = {"number": number, "filter": {"inactive_days": days}}
    if entry_id is not None:
        session.execute(update(AuditEntry).where(AuditEntry.id == entry_id).values(details=details))
        return entry_id
    entry = audit.record(
        session, Action.DEVICES_ARCHIVED, "devices", actor=actor, at=now, **details
    )
    session.flush()
    return entry.id
