"""Find out whether a new device may be one that was blocked shortly before.

Somebody whose device is blocked may reinstall the application, which then sends a new identifier.
"""

from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, String, bindparam, func, or_, select, union_all
from sqlalchemy.orm import Session

from apidevices.models import (
    Device,
    DeviceActivity,
    DeviceHistory,
    DeviceMark,
    DeviceToken,
    Id,
    UTCDateTime,
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
    values = {**new._asdict(), "since": new.at - PERIOD}
    found = session.execute(_query(has_token=new.token_id is not None), values).first()
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


@cache
def _query(*, has_token: bool) -> Select[Any]:
    """Return the query for the blocked device that was denied or blocked most recently.

    It is built once: that takes longer than running it.
    """
    row, entry, use = DeviceActivity, DeviceHistory, DeviceToken
    at, since = (bindparam(name, type_=UTCDateTime()) for name in ("at", "since"))
    address, manufacturer, model = (
        bindparam(name, type_=String) for name in ("address", "manufacturer", "model")
    )
    recent = (
        select(row.device_id)
        .where(row.blocked, row.archived_at.is_(None), row.last_activity_at > since)
        .order_by(row.last_activity_at.desc())
        .limit(MAX_CANDIDATES)
    )
    # Each needs a limit of its own, to be read from its index.
    denied_here = recent.where(row.last_denied_address == address)
    candidates = (
        union_all(select(denied_here.subquery()), select(recent.subquery()))
        .cte("candidates")
        .prefix_with("MATERIALIZED")
    )
    last_address = (
        select(entry.address)
        .where(entry.device_id == Device.id, entry.address.is_not(None))
        .order_by(entry.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(Device.id)
        .join(candidates, candidates.c.device_id == Device.id)
        .join(row, row.device_id == Device.id)
        .where(
            Device.blocked_condition(at),
            Device.model == model,
            Device.manufacturer.is_not_distinct_from(manufacturer),
            or_(row.last_denied_address == address, last_address == address),
        )
    )
    if has_token:
        # With a limit, so that PostgreSQL doesn't read all devices with the token instead.
        used = select(use.device_id).where(
            use.device_id == Device.id, use.token_id == bindparam("token_id", type_=Id)
        )
        query = query.where(used.limit(1).scalar_subquery().is_not(None))
    latest = func.coalesce(row.last_denied_at, Device.blocked_at)
    return query.order_by(latest.desc(), Device.id.desc()).limit(1)
