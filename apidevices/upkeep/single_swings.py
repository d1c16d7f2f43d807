"""Withdraw marks of devices whose operating system was only set back after an update.

Such a device swings once and never again. Two devices with one identifier keep swinging.
"""

import threading
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from apidevices.database import Database
from apidevices.models import DeviceMark
from apidevices.upkeep.tasks import Job
from apidevices.upkeep.withdrawal import delete_marks

SETTLE = timedelta(days=3)
"""How long a device must not have swung again."""


def tasks() -> list[Job]:
    """Return the job that withdraws the marks."""
    return [Job(description="Withdraw marks of updates that were undone", work=withdraw)]


def withdraw(db: Database, now: datetime, _stop: threading.Event, dry_run: bool = False) -> int:
    """Delete the marks of devices that swung once, between versions of one operating system.

    Args:
        db: The database.
        now: The time of the database's clock.
        dry_run: Only count.

    Returns:
        The number of marks.
    """
    mark = DeviceMark
    is_old = (
        mark.kind == "shared",
        mark.dismissed_at.is_(None),
        mark.count == 1,
        mark.first_at < now - SETTLE,
    )
    with db.read() as session:
        found = session.execute(select(mark.id, mark.evidence).where(*is_old))
        ids = [row.id for row in found if _is_one_system(row.evidence)]
    if not dry_run:
        delete_marks(db, ids, *is_old)
    return len(ids)


def _is_one_system(evidence: dict[str, Any]) -> bool:
    """Return whether sets differ at most in the versions of the system and the application."""
    fixed = ("manufacturer", "model", "os")
    details = [each["details"] for each in evidence["sets"]]
    return len({tuple(each[field] for field in fixed) for each in details}) == 1
