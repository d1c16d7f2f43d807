"""Conditions that filters put on devices, each in the forms that the strategies need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, or_, select, union_all
from sqlalchemy.orm import aliased

from apidevices.listing import search
from apidevices.models import Device, DeviceActivity, DeviceKeys, DeviceMark, MarkKind

# Aliases, so that a condition can be part of a query of the same table.
device = aliased(Device)
activity = aliased(DeviceActivity)
keys = aliased(DeviceKeys)

LINE_BREAK = "\n"


class Scope(NamedTuple):
    """What conditions depend on besides their values.

    Args:
        now: The time that ends are compared with.
        dialect: The database.
        archived: Whether the list has the archived devices, or all others.
    """

    now: datetime
    dialect: str
    archived: bool

    def in_activity(self, row: Any) -> ColumnElement[bool]:
        """Return the condition that the device of an activity is archived, or that it isn't.

        It has the same form as in the activity indexes.
        """
        archived_at = row.archived_at
        return _same(archived_at.is_not(None) if self.archived else archived_at.is_(None))

    def in_keys(self, row: Any) -> ColumnElement[bool]:
        """Return the condition that the device of some keys is archived, or that it isn't."""
        return _same(row.archived if self.archived else ~row.archived)

    def with_status(self, row: Any, blocked: bool) -> ColumnElement[bool]:
        """Return the condition that the device of an activity is listed and has a status.

        It has the same form as in the activity indexes.
        """
        return and_(row.blocked if blocked else ~row.blocked, self.in_activity(row))


class Condition(Protocol):
    """A condition on devices."""

    @property
    def within_list(self) -> bool:
        """Whether ``ids`` leaves out archived devices, or all others, as the list does."""

    @property
    def ids(self) -> Select[Any]:
        """The query for the ids of all devices that fulfill the condition, by an index."""

    def holds_for(self, row: Any) -> ColumnElement[bool]:
        """Return the condition for one row.

        Args:
            row: The columns ``device_id`` and ``details_id``, and ``search_key`` of a row that is
                read from the activity indexes.
        """


@dataclass(frozen=True, slots=True)
class RowCondition:
    """The condition that a table has a matching row for the device.

    Args:
        device_id: The column of that table with the id of the device.
        matches: The condition on the row. An index must find the rows that fulfill it.
        found_by: Conditions that together are the same, if each has an index of its own.
        within_list: See ``Condition``.
    """

    device_id: Any
    matches: ColumnElement[bool]
    found_by: Sequence[ColumnElement[bool]] = ()
    within_list: bool = False

    @property
    def ids(self) -> Select[Any]:
        """The query for the ids of all devices that fulfill the condition."""
        if self.found_by:
            parts = (select(self.device_id.label("id")).where(each) for each in self.found_by)
            return select(union_all(*parts).subquery().c.id)
        return select(self.device_id.label("id")).where(self.matches)

    def holds_for(self, row: Any) -> ColumnElement[bool]:
        """Return the condition for one row."""
        return exists().where(self.device_id == row.device_id, self.matches)


class ByDevice(RowCondition):
    """The condition on the activity of a device, for rows of another table."""

    __slots__ = ()

    def holds_for(self, row: Any) -> ColumnElement[bool]:
        """Return the condition for one row."""
        # No EXISTS, because PostgreSQL would make it a join. If it expected few devices to match,
        # it would compare each row with all those that do.
        same_device = self.device_id == row.device_id
        return select(self.matches).where(same_device).scalar_subquery()


@dataclass(frozen=True, slots=True)
class ActivityCondition:
    """A condition on the activity of a device, which the activity indexes contain.

    Args:
        active: Returns the condition for a device that isn't blocked, on the columns of its
            activity. For these devices, ``last_activity_at`` is ``last_active_at``.
        blocked: Returns the condition for a blocked device. For these, it is the time of the block.
    """

    active: Callable[[Any], ColumnElement[bool]]
    blocked: Callable[[Any], ColumnElement[bool]]

    def on(self, row: Any) -> ColumnElement[bool]:
        """Return the condition on the columns of an activity."""
        return or_(
            and_(~row.blocked, self.active(row)),
            and_(row.blocked, self.blocked(row)),
        )

    def in_range(self, row: Any, blocked: bool) -> ColumnElement[bool]:
        """Return the condition on the columns of an activity with this status."""
        return self.blocked(row) if blocked else self.active(row)


def by_device(
    conditions: Sequence[ActivityCondition], statuses: Sequence[bool], scope: Scope
) -> ByDevice:
    """Return all conditions on the activity as one, for rows of another table.

    Args:
        conditions: The conditions besides the status.
        statuses: The values of ``blocked``.
        scope: Which devices the list has.
    """
    by_status = [
        and_(
            scope.with_status(activity, blocked),
            *(each.in_range(activity, blocked) for each in conditions),
        )
        for blocked in statuses
    ]
    return ByDevice(activity.device_id, or_(*by_status), by_status, within_list=True)


def _same(condition: Any) -> ColumnElement[bool]:
    result: ColumnElement[bool] = condition
    return result


@dataclass(frozen=True, slots=True)
class TextCondition:
    """The condition that a device's name or identifier contains a folded search text.

    Args:
        dialect: The database.
        text: The search text.
        in_row: Whether rows have ``search_key``.
    """

    dialect: str
    text: str
    in_row: bool

    @property
    def within_list(self) -> bool:
        """Whether ``ids`` leaves out archived devices, or all others, as the list does."""
        return False

    @property
    def ids(self) -> Select[Any]:
        """The query for the ids of all devices that fulfill the condition."""
        return search.matching_ids(self.dialect, self.text)

    def holds_for(self, row: Any) -> ColumnElement[bool]:
        """Return the condition for one row.

        It needs only the activity indexes, except for search keys that are too long for them.
        """
        full = select(device.search_key).where(device.id == row.device_id).scalar_subquery()
        key = func.coalesce(row.search_key, full) if self.in_row else full
        return search.contains(self.dialect, self.text, key)


@dataclass(frozen=True, slots=True)
class Keeps:
    """Marks a field of ``Filters`` and says which devices it keeps.

    Args:
        condition: Returns the condition for a value of the field.
    """

    condition: Callable[[Any, Scope], RowCondition | ActivityCondition]


def is_inactive(days: int, scope: Scope) -> ActivityCondition:
    """Return the condition that a device has not been active for some days."""
    end = scope.now - timedelta(days=days)
    return ActivityCondition(
        lambda row: row.last_activity_at < end, lambda row: row.last_active_at < end
    )


def is_active(days: int, scope: Scope) -> ActivityCondition:
    """Return the condition that a device has been active in some days."""
    start = scope.now - timedelta(days=days)
    return ActivityCondition(
        lambda row: row.last_activity_at >= start, lambda row: row.last_active_at >= start
    )


def has_uploaded(_value: bool, _scope: Scope) -> ActivityCondition:
    """Return the condition that a device has uploaded anything."""

    def uploaded(row: Any) -> ColumnElement[bool]:
        condition: ColumnElement[bool] = row.last_upload_at.is_not(None)
        return condition

    return ActivityCondition(uploaded, uploaded)


def has_no_upload(days: int, scope: Scope) -> ActivityCondition:
    """Return the condition that a device has been active in some days, but without an upload."""
    start = scope.now - timedelta(days=days)

    def no_upload(row: Any) -> ColumnElement[bool]:
        return or_(row.last_upload_at.is_(None), row.last_upload_at < start)

    return ActivityCondition(
        lambda row: and_(row.last_activity_at >= start, no_upload(row)),
        lambda row: and_(row.last_active_at >= start, no_upload(row)),
    )


def has_no_name(_value: bool, scope: Scope) -> ActivityCondition:
    """Return the condition that a device has no name: its search key is only the identifier."""

    def is_unnamed(row: Any) -> ColumnElement[bool]:
        full = select(device.search_key).where(device.id == row.device_id).scalar_subquery()
        return ~search.contains(scope.dialect, LINE_BREAK, func.coalesce(row.search_key, full))

    return ActivityCondition(is_unnamed, is_unnamed)


def is_denied(_value: bool, _scope: Scope) -> ActivityCondition:
    """Return the condition that a device is blocked, and has sent a request since."""
    return ActivityCondition(
        lambda _row: false(), lambda row: row.last_denied_at >= row.last_activity_at
    )


def has_mark(kind: MarkKind) -> Callable[[bool, Scope], RowCondition]:
    """Return a function for the condition that a device has a mark that was not dismissed."""

    def condition(_value: bool, _scope: Scope) -> RowCondition:
        # The same form as in the partial index.
        is_open = and_(DeviceMark.kind == kind, DeviceMark.dismissed_at.is_(None))
        return RowCondition(DeviceMark.device_id, is_open)

    return condition
