"""Delete what is older than the settings allow: history, denied attempts and the audit log."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, exists, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from apidevices import clock, limits
from apidevices.config import PREFIX, Settings
from apidevices.models import (
    AuditEntry,
    Device,
    DeviceActivity,
    DeviceDay,
    DeviceDenials,
    DeviceHistory,
    Operation,
    OperationDevice,
    RateLimit,
)
from apidevices.upkeep.tasks import Task, execute

KEEP_OPERATIONS_DAYS = 1
"""Days to keep operations of the admin pages, which show their results and undo them."""


def tasks(settings: Settings) -> list[Task]:
    """Return the tasks that delete old rows of the extension's tables."""
    return [
        delete_older(
            "Delete history entries",
            settings.keep_history_days,
            key=DeviceHistory.id,
            time=DeviceHistory.at,
            setting=f"{PREFIX}KEEP_HISTORY_DAYS",
        ),
        delete_older(
            "Delete audit log entries",
            settings.keep_audit_days,
            key=AuditEntry.id,
            time=AuditEntry.at,
            setting=f"{PREFIX}KEEP_AUDIT_DAYS",
        ),
        Task(
            description="Reset denied attempts of devices",
            key=DeviceActivity.device_id.expression,
            due=partial(_is_older, DeviceActivity.last_denied_at, settings.keep_denials_days),
            change=_reset_denials,
            days=settings.keep_denials_days,
        ),
        _delete_days(DeviceDenials, "groups of denied attempts", settings, "keep_denials_days"),
        _delete_days(DeviceDay, "daily counts of devices", settings, "keep_activity_days"),
        # Before the operations that they refer to.
        Task(
            description="Delete the devices of operations",
            key=OperationDevice.id.expression,
            due=lambda now: OperationDevice.operation_id.in_(_old_operations(now)),
            change=partial(_delete, OperationDevice),
            days=KEEP_OPERATIONS_DAYS,
            is_ordered=True,
        ),
        Task(
            description="Delete operations",
            key=Operation.id.expression,
            due=lambda now: and_(
                Operation.id.in_(_old_operations(now)),
                ~exists().where(OperationDevice.operation_id == Operation.id),
            ),
            change=partial(_delete, Operation),
            days=KEEP_OPERATIONS_DAYS,
            is_ordered=True,
        ),
        Task(
            description="Delete expired rate limits",
            key=RateLimit.full_at.expression,
            due=lambda now: RateLimit.full_at < limits.microseconds(now),
            change=partial(_delete, RateLimit),
            is_ordered=True,
        ),
        Task(
            # A host with a wrong clock would otherwise deny requests for years.
            description="Delete rate limits far in the future",
            key=RateLimit.full_at.expression,
            due=lambda now: RateLimit.full_at > _latest_limit(now),
            change=partial(_delete, RateLimit),
            is_ordered=True,
            start=_latest_limit,
        ),
    ]


def delete_older(
    description: str,
    days: int,
    *,
    key: InstrumentedAttribute[int],
    time: InstrumentedAttribute[datetime],
    size: InstrumentedAttribute[int] | None = None,
    setting: str | None = None,
) -> Task:
    """Return a task that deletes rows after some days; 0 to keep them forever.

    Args:
        description: What the task does.
        days: For how many days rows are kept.
        key: The primary key, which must grow with the time.
        time: When the row was written.
        size: The size of a row in bytes, if rows may be large.
        setting: The name of the setting that says for how many days.
    """
    return Task(
        description=description,
        key=key.expression,
        due=partial(_is_older, time, days),
        change=partial(_delete, key.class_),
        days=days,
        is_ordered=True,
        size=None if size is None else size.expression,
        setting=setting,
    )


def _is_older(time: InstrumentedAttribute[Any], days: int, now: datetime) -> ColumnElement[bool]:
    return time < now - timedelta(days=days)


def _delete_days(
    model: type[DeviceDay | DeviceDenials], what: str, settings: Settings, setting: str
) -> Task:
    """Return a task that deletes the old days of devices. Its rows are devices.

    Walking along the devices takes one look into the table for each, instead of reading up to 90
    days of each.
    """
    days = getattr(settings, setting)

    def is_old(now: datetime) -> ColumnElement[bool]:
        return model.day < (now - timedelta(days=days)).date()

    def is_due(now: datetime) -> ColumnElement[bool]:
        return exists().where(model.device_id == DeviceActivity.device_id, is_old(now))

    def change(session: Session, rows: ColumnElement[bool], now: datetime) -> int:
        ids = session.scalars(select(DeviceActivity.device_id).where(rows)).all()
        execute(session, delete(model).where(model.device_id.in_(ids), is_old(now)))
        return len(ids)

    return Task(
        description=f"Delete {what}",
        key=DeviceActivity.device_id.expression,
        due=is_due,
        change=change,
        setting=f"{PREFIX}{setting.upper()}",
        rows_in=model.__tablename__,
        days=days,
    )


def _delete(model: Any, session: Session, rows: ColumnElement[bool], _now: datetime) -> int:
    return execute(session, delete(model).where(rows))


def _old_operations(now: datetime) -> Select[Any]:
    """Return the query for the ids of operations that ended long enough ago."""
    oldest = now - timedelta(days=KEEP_OPERATIONS_DAYS)
    return select(Operation.id).where(Operation.finished_at < oldest)


def _reset_denials(session: Session, rows: ColumnElement[bool], _now: datetime) -> int:
    denied = Device.id.in_(select(DeviceActivity.device_id).where(rows))
    counted = select(Device.id).where(denied, Device.denied_before_block > 0).order_by(Device.id)
    ids = session.scalars(counted.with_for_update(key_share=True)).all()
    session.execute(update(Device).where(Device.id.in_(ids)).values(denied_before_block=0))
    change = update(DeviceActivity).where(rows)
    return execute(
        session,
        change.values(
            denied_count=0,
            last_denied_at=None,
            last_denied_address=None,
            last_denied_token_id=None,
        ),
    )


def _latest_limit(now: datetime) -> int:
    """Return the latest time that a rate limit may have, in microseconds since 1970."""
    return limits.microseconds(now + clock.MAX_AHEAD + limits.DAY)
