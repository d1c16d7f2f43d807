"""Suggest devices that seem to be older ones after a reinstall: one fell silent as the other began.

A run looks only at devices that were registered in the last days, and at those that fell silent at
that time. Whatever is ambiguous is not suggested: a wrong merge is worse than a missing one.
"""

import threading
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.models import Device, DeviceActivity, DeviceKeys, DeviceMark
from apidevices.upkeep import pairs
from apidevices.upkeep.tasks import PAUSE, Job
from apidevices.upkeep.withdrawal import delete_marks

TWIN = "twin"

SETTLE = timedelta(days=2)
"""How long the old device must have been silent after the new one began."""

PERIOD = timedelta(days=8)
"""Devices that were registered in this period are looked at, again in each run: ``prune`` may run
as seldom as once a week."""

STEP = timedelta(hours=6)
"""Devices that began within this time are looked at together."""


def tasks() -> list[Job]:
    """Return the job that suggests pairs, and withdraws those that prove wrong."""
    return [Job(description="Suggest devices that may be reinstalls", work=suggest)]


def suggest(db: Database, now: datetime, stop: threading.Event, dry_run: bool = False) -> int:
    """Suggest pairs of devices, and withdraw suggestions if the old device calls again.

    Args:
        db: The database.
        now: The time of the database's clock.
        stop: Ends the run after the current step when it is set.
        dry_run: Only count.

    Returns:
        The number of new suggestions.
    """
    if not dry_run:
        _withdraw(db)
    number, start, latest = 0, now - SETTLE - PERIOD, now - SETTLE
    while start < latest and not stop.is_set():
        end = min(start + STEP, latest)
        with db.read() as session:
            evidence = dict(pairs.find(db, session, start, end))
            known = _known(db, session, evidence)
        new = {pair: each for pair, each in evidence.items() if pair not in known}
        if new and not dry_run:
            _store(db, new, now)
        number += len(new)
        start = end
        stop.wait(PAUSE)
    return number


def _known(
    db: Database, session: Session, found: Collection[tuple[int, int]]
) -> set[tuple[int, int]]:
    """Return the pairs that have been suggested before, even if that was dismissed."""
    mark = DeviceMark
    ids = db.id_list([new for new, _ in found])
    query = select(mark.device_id, mark.other_id).where(
        mark.kind == TWIN, mark.device_id.in_(ids), mark.other_id.is_not(None)
    )
    return {(row.device_id, row.other_id) for row in session.execute(query)}


def _store(db: Database, evidence: Mapping[tuple[int, int], dict[str, Any]], now: datetime) -> None:
    ids = [device_id for pair in evidence for device_id in pair]
    with db.write(essential=False) as session:
        locked = select(Device.id).where(Device.id.in_(db.id_list(ids))).order_by(Device.id)
        existing = set(session.scalars(locked.with_for_update(key_share=True)))
        known = _known(db, session, evidence)  # another run may have stored them
        session.add_all(
            DeviceMark(
                kind=TWIN,
                device_id=new,
                other_id=old,
                evidence=each,
                first_at=now,
                last_at=now,
                count=1,
            )
            for (new, old), each in evidence.items()
            if {new, old} <= existing and (new, old) not in known
        )


def _withdraw(db: Database) -> None:
    """Delete suggestions whose old device has called again after the new one began."""
    mark, row, keys = DeviceMark, DeviceActivity, DeviceKeys
    suggested = (
        select(mark.id, row.last_active_at, keys.first_seen_at)
        .join(row, row.device_id == mark.other_id)
        .join(keys, keys.device_id == mark.device_id)
        .where(mark.kind == TWIN, mark.dismissed_at.is_(None))
    )
    with db.read() as session:
        ids = [
            each.id
            for each in session.execute(suggested)
            if each.last_active_at > each.first_seen_at + pairs.OVERLAP
        ]
    delete_marks(db, ids)
