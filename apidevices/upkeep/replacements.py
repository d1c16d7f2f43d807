"""Withdraw marks of devices that seemed to be a blocked one, but replace it.

The identifier of a blocked device falls silent when its application is reinstalled. If it goes on
calling and is denied, day after day, while the new device is served, there are two devices.
"""

import threading
from datetime import datetime, timedelta

from sqlalchemy import and_, func, select
from sqlalchemy.orm import aliased

from apidevices.database import Database
from apidevices.models import DeviceActivity, DeviceDay, DeviceDenials, DeviceMark
from apidevices.upkeep.tasks import Job
from apidevices.upkeep.withdrawal import delete_marks

DAYS = 3
"""On how many UTC days both devices must have called since the new one was registered. Each of them
has then called after the other one, again and again: two days may be minutes apart."""

SILENT = timedelta(days=8)
"""A device that has not called for this long has fallen silent, and the mark stays. Not less:
``prune`` may run as seldom as once a week."""


def tasks() -> list[Job]:
    """Return the job that withdraws the marks."""
    return [Job(description="Withdraw marks of devices that replace blocked ones", work=withdraw)]


def withdraw(db: Database, now: datetime, _stop: threading.Event, dry_run: bool = False) -> int:
    """Delete the marks of devices that call on the same days as the blocked one.

    Args:
        db: The database.
        now: The time of the database's clock.
        dry_run: Only count.

    Returns:
        The number of marks.
    """
    mark, served, denied = DeviceMark, DeviceDay, DeviceDenials
    new, blocked = aliased(DeviceActivity), aliased(DeviceActivity)
    replacing = (
        select(mark.id)
        .join(new, new.device_id == mark.device_id)
        .join(blocked, blocked.device_id == mark.other_id)
        .join(denied, denied.device_id == mark.other_id)
        .join(served, and_(served.device_id == mark.device_id, served.day == denied.day))
        .where(
            mark.kind == "blocked_again",
            mark.dismissed_at.is_(None),
            denied.first_at > mark.first_at,
            new.last_active_at > now - SILENT,
            blocked.last_denied_at > now - SILENT,
        )
        .group_by(mark.id)
        .having(func.count() >= DAYS)
    )
    with db.read() as session:
        ids = session.scalars(replacing).all()
    if not dry_run:
        delete_marks(db, ids)
    return len(ids)
