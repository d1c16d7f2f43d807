"""Find out whether a new device may be one that was blocked shortly before.

Somebody whose device is blocked may reinstall the application, which then sends a new identifier.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, exists, func, or_, select, union_all
from sqlalchemy.orm import Session

from apidevices.models import (
    Device,
    DeviceActivity,
    DeviceHistory,
    DeviceMark,
    DeviceToken,
)

BLOCKED_AGAIN = "blocked_again"

PERIOD = timedelta(days=1)
"""A device that registers within this time after a block may be the blocked one."""

MAX_CANDIDATES = 100
"""How many blocked devices are compared at most: so many that were denied at the same address most
recently, and so many of the latest blocks. A registration must not take longer after a flood has
been blocked."""


class NewDevice(NamedTuple):
    """A device that is being registered, with the origin of its request."""

    id: int
    manufacturer: str | None
    model: str | None
    token_id: int | None
    address: str | None
    at: datetime


def mark_if_blocked(session: Session, new: NewDevice) -> None:
    """Mark a new device if it has the hardware, token and address of one that was just blocked."""
    if new.model is None or new.address is None:
        return
    found = session.execute(_query(new)).first()
    if found is None:
        return
    session.add(
        DeviceMark(
            kind=BLOCKED_AGAIN,
            device_id=new.id,
            other_id=found.id,
            evidence={"address": new.address, "token_id": new.token_id},
            first_at=new.at,
            last_at=new.at,
            count=1,
        )
    )


def _query(new: NewDevice) -> Select[Any]:
    """Return the query for the blocked device that was denied or blocked most recently."""
    row = DeviceActivity
    recent = (
        select(row.device_id)
        .where(row.blocked, row.archived_at.is_(None), row.last_activity_at > new.at - PERIOD)
        .order_by(row.last_activity_at.desc())
        .limit(MAX_CANDIDATES)
    )
    # Each needs a limit of its own, to be read from its index.
    denied_here = recent.where(row.last_denied_address == new.address)
    candidates = union_all(select(denied_here.subquery()), select(recent.subquery())).cte(
        "candidates"
    )
    entry = DeviceHistory
    last_address = (
        select(entry.address)
        .where(entry.device_id == Device.id, entry.address.is_not(None))
        .order_by(entry.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(Device.id)
        .join(candidates.prefix_with("MATERIALIZED"), candidates.c.device_id == Device.id)
        .join(row, row.device_id == Device.id)
        .where(
            Device.blocked_condition(new.at),
            Device.model == new.model,
            Device.manufacturer.is_not_distinct_from(new.manufacturer),
            or_(row.last_denied_address == new.address, last_address == new.address),
        )
    )
    if new.token_id is not None:
        use = DeviceToken
        used = exists().where(use.device_id == Device.id, use.token_id == new.token_id)
        query = query.where(used)
    latest = func.coalesce(row.last_denied_at, Device.blocked_at)
    return query.order_by(latest.desc(), Device.id.desc()).limit(1)
