"""Repair times that a host with a wrong clock has stored: more than a day in the future.

The next request of a device repairs the times of its activity: see ``activity.writer``. These tasks
repair the rest. The true time is unknown, so they use the latest known time that is not in the
future, or else the current time.
"""

from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from apidevices import clock
from apidevices.models import (
    REPORTS,
    ApiToken,
    AuditEntry,
    Device,
    DeviceActivity,
    DeviceHistory,
    DeviceToken,
    UTCDateTime,
)
from apidevices.upkeep.tasks import Task, execute


def tasks() -> list[Task]:
    """Return the tasks, in an order in which each can rely on what the previous ones repaired."""
    return [
        _task("history", DeviceHistory.id, _repair_log, DeviceHistory.at),
        _task("the audit log", AuditEntry.id, _repair_log, AuditEntry.at),
        _task("devices", Device.id, _repair_devices, Device.first_seen_at, Device.blocked_at),
        _task(
            "activity",
            DeviceActivity.device_id,
            _repair_activity,
            DeviceActivity.last_active_at,
            DeviceActivity.last_activity_at,
            DeviceActivity.last_upload_at,
            DeviceActivity.last_denied_at,
        ),
        _task("tokens", ApiToken.id, _repair_tokens, ApiToken.last_used_at),
    ]


def _task(what: str, key: InstrumentedAttribute[int], repair: Any, *times: Any) -> Task:
    def is_due(now: datetime) -> ColumnElement[bool]:
        return or_(*(time > now + clock.MAX_AHEAD for time in times))

    return Task(
        description=f"Repair future times of {what}",
        key=key.expression,
        due=is_due,
        change=partial(repair, times[0]) if repair is _repair_log else repair,
    )


def _repair_log(
    at: InstrumentedAttribute[datetime], session: Session, rows: ColumnElement[bool], now: datetime
) -> int:
    """Give entries of a log the time of the entry before."""
    model: Any = at.class_
    earlier = aliased(model)
    before = (
        select(earlier.at)
        .where(earlier.id < model.id, earlier.at <= now + clock.MAX_AHEAD)
        .order_by(earlier.id.desc())
        .limit(1)
    )
    return execute(
        session,
        update(model).where(rows).values(at=func.coalesce(before.scalar_subquery(), _time(now))),
    )


def _repair_devices(session: Session, rows: ColumnElement[bool], now: datetime) -> int:
    latest = now + clock.MAX_AHEAD
    first_entry = select(func.min(DeviceHistory.at)).where(
        DeviceHistory.device_id == Device.id, DeviceHistory.at <= latest
    )
    first_seen = func.coalesce(first_entry.scalar_subquery(), _time(now))
    return execute(
        session,
        update(Device)
        .where(rows)
        .values(
            first_seen_at=_repaired(Device.first_seen_at, latest, first_seen),
            blocked_at=_repaired(Device.blocked_at, latest, _time(now)),
        ),
    )


def _repair_activity(session: Session, rows: ColumnElement[bool], now: datetime) -> int:
    latest, row = now + clock.MAX_AHEAD, DeviceActivity
    active_at = _repaired(row.last_active_at, latest, _last_known_activity(latest, now))
    blocked_at = select(Device.blocked_at).where(Device.id == row.device_id)
    ids = session.scalars(select(row.device_id).where(rows)).all()
    changed = execute(
        session,
        update(row)
        .where(row.device_id.in_(ids))
        .values(
            last_active_at=active_at,
            last_upload_at=_repaired(row.last_upload_at, latest, active_at),
            last_denied_at=_repaired(row.last_denied_at, latest, _time(now)),
            last_activity_at=case(
                (row.last_activity_at <= latest, row.last_activity_at),
                (row.blocked, func.coalesce(blocked_at.scalar_subquery(), _time(now))),
                else_=active_at,
            ),
        ),
    )
    # The activity rows are locked, so that no flush writes these rows at the same time.
    use = DeviceToken
    active = select(row.last_active_at).where(row.device_id == use.device_id).scalar_subquery()
    execute(
        session,
        update(use)
        .where(use.device_id.in_(ids), use.last_used_at > latest)
        .values(first_used_at=_repaired(use.first_used_at, latest, active), last_used_at=active),
    )
    return changed


def _last_known_activity(latest: datetime, now: datetime) -> ColumnElement[datetime]:
    """Return when a device last used a token, reported a change or was first seen."""
    id_ = DeviceActivity.device_id
    used = select(func.max(DeviceToken.last_used_at)).where(
        DeviceToken.device_id == id_, DeviceToken.last_used_at <= latest
    )
    changed = select(func.max(DeviceHistory.at)).where(
        DeviceHistory.device_id == id_,
        DeviceHistory.at <= latest,
        DeviceHistory.kind.in_(REPORTS),
    )
    first_seen = select(Device.first_seen_at).where(
        Device.id == id_, Device.first_seen_at <= latest
    )
    known = (query.scalar_subquery() for query in (used, changed, first_seen))
    return func.coalesce(*known, _time(now))


def _repair_tokens(session: Session, rows: ColumnElement[bool], now: datetime) -> int:
    latest = now + clock.MAX_AHEAD
    used = select(func.max(DeviceToken.last_used_at)).where(
        DeviceToken.token_id == ApiToken.id, DeviceToken.last_used_at <= latest
    )
    return execute(
        session,
        update(ApiToken)
        .where(rows)
        .values(last_used_at=func.coalesce(used.scalar_subquery(), _time(now))),
    )


def _repaired(
    time: InstrumentedAttribute[Any], latest: datetime, value: ColumnElement[Any]
) -> ColumnElement[Any]:
    return case((time > latest, value), else_=time)


def _time(moment: datetime) -> ColumnElement[datetime]:
    return literal(moment, UTCDateTime())
