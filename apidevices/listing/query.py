"""One query of the list, and the SQL that all strategies build on."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Select,
    Subquery,
    func,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session, contains_eager

from apidevices.listing import limits
from apidevices.listing.conditions import (
    ActivityCondition,
    ByDevice,
    Condition,
    RowCondition,
    Scope,
    TextCondition,
    by_device,
)
from apidevices.listing.cursor import Cursor, Sort
from apidevices.listing.details import details_condition
from apidevices.listing.filters import Filters, Status
from apidevices.listing.order import Order, activity, keys
from apidevices.models import Device, DeviceKeys

# status -> values of "blocked"
_BLOCKED: Mapping[Status, Sequence[bool]] = {
    "all": (False, True),
    "active": (False,),
    "blocked": (True,),
}


class Wanted(NamedTuple):
    """What a query looks for: filters, in an order, at a time that ends are compared with."""

    filters: Filters
    sort: Sort
    now: datetime


class ListQuery:
    """The filters, cursor and page size of a query, bound to a session.

    Args:
        session: The session to run in; for a page, all its queries must see one snapshot.
        wanted: Which devices to return, and in which order.
        cursor: Where to start; None for the beginning of the list.
        limit: How many devices to return at most; None for all.
    """

    def __init__(
        self,
        session: Session,
        wanted: Wanted,
        cursor: Cursor | None = None,
        limit: int | None = None,
    ) -> None:
        self.session = session
        self.limit = limit
        self.cursor = cursor
        self.dialect = session.get_bind().dialect.name
        filters = wanted.filters
        self.order = Order.of(wanted.sort, cursor)
        self.blocked = _BLOCKED[filters.status]
        self.text = filters.text
        in_row = self.order.by_activity
        self.scope = Scope(wanted.now, self.dialect, filters.archived)
        details = details_condition(session, filters, self.scope)
        elsewhere: list[Condition] = [details] if details else []
        on_activity = []
        for condition in filters.conditions(self.scope):
            if isinstance(condition, RowCondition):
                elsewhere.append(condition)
            else:
                on_activity.append(condition)
        text = [TextCondition(self.dialect, self.text, in_row)] if self.text else []
        self._elsewhere: Sequence[Condition] = [*elsewhere, *text]
        self._by_device: ByDevice | None = None
        conditions = list(self._elsewhere)
        if not in_row and (on_activity or len(self.blocked) == 1):
            self._by_device = by_device(on_activity, self.blocked, self.scope)
            # The status alone is hardly ever rare, so a text comes before it.
            conditions.insert(len(elsewhere if on_activity else conditions), self._by_device)
        self.conditions: Sequence[Condition] = conditions
        self.activity_conditions: Sequence[ActivityCondition] = on_activity if in_row else []

    def matches(self, row: Any, known: Condition | None = None) -> Sequence[ColumnElement[bool]]:
        """Return the conditions that a row fulfills all filters but those on the activity.

        Args:
            row: The columns that ``Condition.holds_for`` needs.
            known: A condition that the row is known to fulfill, to leave out.
        """
        return [condition.holds_for(row) for condition in self.conditions if condition is not known]

    @property
    def matches_activity(self) -> Sequence[ColumnElement[bool]]:
        """The conditions on the activity, except the status. Filters add some in its order."""
        on_activity = (condition.on(activity) for condition in self.activity_conditions)
        return [self.scope.in_activity(activity), *on_activity]

    def all_matches(self, *columns: Any) -> Select[Any]:
        """Return a query for columns of all matching devices, of the table with the order.

        The database decides in which order it uses the indexes.
        """
        row = self.order.columns
        conditions = [
            row.device_id.in_(condition.ids)
            if isinstance(condition, RowCondition)
            else condition.holds_for(row)
            for condition in self._elsewhere
        ]
        matches = select(*columns).select_from(self.order.device_id.table).where(*conditions)
        if self.order.by_activity:
            is_any = len(self.blocked) > 1
            status = [] if is_any else [self.scope.with_status(activity, self.blocked[0])]
            return matches.where(*status, *self.matches_activity)
        matches = matches.where(self.scope.in_keys(row))
        if self._by_device is None:
            return matches
        # Joined, because PostgreSQL would expect few devices from an IN with the union of both
        # statuses, and look up each of them.
        found = self._by_device.ids.subquery("found")
        return matches.join(found, found.c.id == row.device_id)

    def with_key(self, query: Select[Any]) -> Select[Any]:
        """Join the table with the key of the order to a query of the activity."""
        if self.order.by_activity:
            return query
        return query.join(DeviceKeys, keys.device_id == activity.device_id)

    def count_ranges(self) -> int:
        """Return how many devices the indexes have for the status and the activity.

        It counts up to ``COUNT_LIMIT + 1``.
        """
        parts = (select(self.order.device_id).where(*each) for each in self._ranges([true()]))
        return self.count_rows(union_all(*parts))

    def count_matches(self, *, listed: bool) -> int | None:
        """Return how many devices match all filters but those on the activity.

        It reads all devices, and returns None if there are more than ``COUNT_LIMIT``.

        Args:
            listed: Whether to count the devices that the list has without filters. Otherwise, all
                others: those of another status, and those that are archived, or not, unlike these.
        """
        other = self.scope._replace(archived=not self.scope.archived)
        parts = [
            select(activity.device_id).where(scope.with_status(activity, blocked))
            for scope in (self.scope, other)
            for blocked in (False, True)
            if (scope is self.scope and blocked in self.blocked) == listed
        ]
        if self.count_rows(union_all(*parts)) > limits.COUNT_LIMIT:
            return None
        conditions = self.matches(activity)
        return self.count_rows(union_all(*(part.where(*conditions) for part in parts)))

    def count_rows(self, query: Select[Any] | CompoundSelect[Any]) -> int:
        """Return how many rows a query returns, at most ``COUNT_LIMIT + 1``."""
        limited = query.limit(limits.COUNT_LIMIT + 1).subquery()
        return self.session.scalar(select(func.count()).select_from(limited)) or 0

    @property
    def position(self) -> Sequence[ColumnElement[Any]]:
        """The columns of a position in the list."""
        return self.order.device_id.label("device_id"), self.order.key.label("key")

    def positions(self) -> CompoundSelect[Any]:
        """Return the query for the positions of the matching devices, from the list's indexes.

        The database reads each index in its order and stops when the limit is reached.
        """
        parts = []
        for conditions in self._ranges(self.order.ranges()):
            part = select(*self.position).where(*conditions, *self.matches(self.order.columns))
            # Each part needs a limit, or PostgreSQL sorts all rows of the union.
            parts.append(select(self._sorted_by_index(part).limit(self.limit).subquery()))
        return self._merged(parts, self.limit)

    def next_positions(self, number: int) -> Select[Any]:
        """Return a query like ``positions``, for the matches among the next devices.

        Args:
            number: How many devices to read, matching or not.
        """
        rows = self._next_devices(number)
        matching = select(rows.c.device_id, rows.c.key).where(*self.matches(rows.c))
        return self.order.sorted(matching, rows.c).limit(self.limit)

    def has_more_than(self, number: int) -> bool:
        """Return whether more than this many devices follow in the list, matching or not."""
        rows = self._next_devices(number + 1)
        return (self.session.scalar(select(func.count()).select_from(rows)) or 0) > number

    def _next_devices(self, number: int) -> Subquery:
        parts: list[Select[Any]] = []
        for conditions in self._ranges(self.order.ranges()):
            part = select(*self.position, *self.order.row)
            part = part.where(*conditions)
            if self.dialect == "postgresql":  # see positions(); SQLite would sort each part
                part = select(self._sorted_by_index(part).limit(number).subquery())
            parts.append(part)
        return self._merged(parts, number).subquery("rows")

    def _sorted_by_index(self, query: Select[Any]) -> Select[Any]:
        return self.order.sorted(query, _Position(self.order.key, self.order.device_id))

    def _merged(self, parts: Sequence[Select[Any]], limit: int | None) -> CompoundSelect[Any]:
        union = union_all(*parts)
        return self.order.sorted(union, union.selected_columns).limit(limit)

    def _ranges(
        self, ranges: Sequence[ColumnElement[bool]]
    ) -> Iterator[Sequence[ColumnElement[bool]]]:
        """Return the conditions for the ranges of the indexes that make up the list.

        By activity, that is one index per status, or one range per status of the index of archived
        devices. For other orders, the status is a condition.
        """
        if not self.order.by_activity:
            yield from ([self.scope.in_keys(keys), each] for each in ranges)
            return
        for blocked in self.blocked:
            conditions = [
                self.scope.with_status(activity, blocked),
                *(each.in_range(activity, blocked) for each in self.activity_conditions),
            ]
            yield from ([*conditions, each] for each in ranges)

    def devices(
        self, query: Select[Any], positions: FromClause, isouter: bool = False
    ) -> Select[Any]:
        """Extend a query to load the devices at these positions, in the list's order."""
        query = (
            query.join(Device, Device.id == positions.c.device_id, isouter=isouter)
            .join(Device.activity, isouter=isouter)
            .options(contains_eager(Device.activity))
        )
        return self.order.sorted(query, positions.c)


class _Position(NamedTuple):
    key: Any
    device_id: Any
