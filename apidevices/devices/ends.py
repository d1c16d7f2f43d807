"""Record blocks that have ended by themselves.

The lookup compares the end of a block with the time of each request, so a device is served again at
once. Until its block is swept, the stored columns, the list and the history still show it.

Two clocks must have reached the end: that of this host and, within ``clock.MAX_SKEW``, that of the
database. Otherwise a single host with a wrong clock would end the blocks of all hosts.
"""

import itertools
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, and_, select, type_coerce, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from apidevices import audit, clock, signals
from apidevices.audit import Action
from apidevices.database import Database, DatabaseUnavailable
from apidevices.devices import records
from apidevices.models import Device, DeviceActivity, UTCDateTime

STEP = 2_000
"""How many ended blocks one transaction records at most."""

PAUSE = 0.05
"""Seconds between two of these transactions, for other writes."""

TIMEOUT = 1.0
"""Seconds to wait for other writes. The next sweep tries again."""

logger = logging.getLogger(__name__)


def end_blocks(db: Database, now: datetime, *, steps: int | None = None) -> int:
    """Record blocks that have ended, and return their number.

    Without any, this is one query of an index that is empty or nearly so. Any number of processes
    can do it at the same time.

    Args:
        db: The database.
        now: The current time.
        steps: How many transactions to use at most; None for as many as needed.

    Raises:
        DatabaseUnavailable: The disk reserve is in use. Blocks still end, without a record.
        SQLAlchemyError: The database is unavailable or busy. A later call repeats the attempt.
    """
    found = select(Device.id).where(_is_due(db, now)).order_by(Device.blocked_until).limit(STEP)
    total = 0
    for step in itertools.count() if steps is None else range(steps):
        with db.read() as session:
            ids = session.scalars(found).all()
        if not ids:
            break
        if step:
            time.sleep(PAUSE)
        ended = _end(db, sorted(ids), now)
        if not ended:
            break  # another process is recording them
        total += len(ended)
        _send(db, ended)
    return total


def end_blocks_if_possible(db: Database, now: datetime) -> None:
    """Record blocks that have ended, before devices are shown. Does nothing if that fails."""
    try:
        end_blocks(db, now, steps=1)
    except (SQLAlchemyError, DatabaseUnavailable) as error:
        logger.info("Could not record blocks that have ended: %s", error)


DENIED_COUNT = (
    select(DeviceActivity.denied_count)
    .where(DeviceActivity.device_id == Device.id)
    .correlate(Device)
    .scalar_subquery()
)
"""The present count of denied requests, for an update of devices."""


def end_in(db: Database, session: Session, ids: Collection[int], now: datetime) -> Sequence[int]:
    """Record the ended blocks of locked devices in the transaction of ``session``.

    Returns:
        The ids of the devices whose blocks have ended, in order.
    """
    connection = session.connection()
    in_ids = Device.id.in_(db.id_list(ids))
    due = select(Device.id, Device.blocked_until).where(in_ids, _is_due(db, now))
    ended = connection.execute(due.order_by(Device.id)).all()
    if not ended:
        return []
    ended_ids = [device.id for device in ended]
    actor = audit.END_OF_BLOCK
    records.add_history(db, connection, ended_ids, "unblocked", Device.blocked_until, actor)
    log = partial(audit.record, session, actor=actor)
    if len(ended) <= records.MAX_ENTRIES:
        for device in ended:
            log(Action.DEVICE_UNBLOCKED, f"device:{device.id}", at=device.blocked_until)
    else:
        log(Action.DEVICES_UNBLOCKED, "devices", at=now, number=len(ended))
    clear_blocks(db, session, ended_ids)
    return ended_ids


def clear_blocks(db: Database, session: Session, ids: Collection[int]) -> Sequence[int]:
    """Remove the blocks of locked devices; return the ids of those that were blocked."""
    return set_columns(
        db,
        session,
        ids,
        Device.blocked_at.is_not(None),
        device=dict.fromkeys(("blocked_at", "block_reason", "blocked_by", "blocked_until")),
        activity={"blocked": False, "last_activity_at": DeviceActivity.last_active_at},
    )


def set_columns(
    db: Database,
    session: Session,
    ids: Collection[int],
    condition: ColumnElement[bool],
    *,
    device: Mapping[str, Any],
    activity: Mapping[str, Any],
) -> Sequence[int]:
    """Set columns of the devices that fulfill a condition, and of their activity.

    Args:
        db: The database.
        session: The session that has locked the devices.
        ids: The ids of the devices.
        condition: The condition.
        device: Columns of ``Device`` with their values.
        activity: Columns of ``DeviceActivity`` with their values.

    Returns:
        The ids of the changed devices, in order.
    """
    connection = session.connection()
    statement = update(Device).where(Device.id.in_(db.id_list(ids)), condition)
    changed = connection.scalars(statement.values(device).returning(Device.id)).all()
    db.lock(connection, DeviceActivity.device_id, changed)
    in_changed = DeviceActivity.device_id.in_(db.id_list(changed))
    connection.execute(update(DeviceActivity).where(in_changed).values(activity))
    return sorted(changed)


def _is_due(db: Database, now: datetime) -> ColumnElement[bool]:
    latest = type_coerce(db.backend.now(clock.MAX_SKEW), UTCDateTime())
    return and_(Device.blocked_until <= now, Device.blocked_until <= latest)


def _end(db: Database, ids: Sequence[int], now: datetime) -> Sequence[int]:
    """Record ended blocks in one transaction; leave out devices that others are changing."""
    # Not essential: devices cause no end, but it must not use up the reserve for new blocks.
    with db.write(TIMEOUT, essential=False) as session:
        chosen = select(Device.id).where(Device.id.in_(db.id_list(ids)), _is_due(db, now))
        locked = chosen.order_by(Device.id).with_for_update(key_share=True, skip_locked=True)
        return end_in(db, session, session.scalars(locked).all(), now)


def _send(db: Database, ids: Sequence[int]) -> None:
    if not signals.device_unblocked.receivers:
        return
    with db.read() as session:
        for device in session.scalars(select(Device).where(Device.id.in_(db.id_list(ids)))):
            signals.send_for(signals.device_unblocked, device)
