"""One query of the list, and the SQL that all strategies build on."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Subquery,
    and_,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session, contains_eager

from apidevices.listing import limits
from apidevices.listing.conditions import Condition, TextCondition
from apidevices.listing.cursor import Cursor
from apidevices.listing.filters import Filters, Status
from apidevices.models import Device, DeviceActivity, UTCDateTime

activity = DeviceActivity.__table__.c

# status -> values of "blocked"
_BLOCKED: Mapping[Status, Sequence[bool]] = {
    "all": (False, True),
    "active": (False,),
    "blocked": (True,),
}

Ordered = TypeVar("Ordered", Select[Any], CompoundSelect[Any])


class ListQuery:
    """The filters, cursor and page size of a query, bound to a session.

    Args:
        session: The session to run in; for a page, all its queries must see one snapshot.
        filters: Which devices to return.
        cursor: Where to start; None for the most recently active device.
        limit: How many devices to return at most; None for all.
    """

    def __init__(
        self, session: Session, filters: Filters, cursor: Cursor | None, limit: int | None
    ) -> None:
        self.session = session
        self.limit = limit
        self.cursor = cursor
        self.dialect = session.get_bind().dialect.name
        self.blocked = _BLOCKED[filters.status]
        self.text = filters.text
        self.conditions: Sequence[Condition] = [
            *filters.conditions,
            *([TextCondition(self.dialect, self.text)] if self.text else []),
        ]

    def matches(self, row: Any, known: Condition | None = None) -> Sequence[ColumnElement[bool]]:
        """Return the conditions that a row fulfills all filters but ``status``.

        Args:
            row: The columns ``device_id`` and ``search_key`` of the activity.
            known: A condition that the row is known to fulfill, to leave out.
        """
        return [condition.holds_for(row) for condition in self.conditions if condition is not known]

    @property
    def matches_status(self) -> ColumnElement[bool]:
        """The condition that a device has the status."""
        return or_(*map(_is_blocked, self.blocked))

    @property
    def all_conditions(self) -> Sequence[ColumnElement[bool]]:
        """The conditions of all filters on a row of the activity, to find every match.

        The database decides in which order it uses the indexes.
        """
        status = [self.matches_status] if len(self.blocked) == 1 else []
        return status + [
            condition.holds_for(activity)
            if isinstance(condition, TextCondition)
            else activity.device_id.in_(condition.ids)
            for condition in self.conditions
        ]

    @cached_property
    def blocked_count(self) -> int:
        """How many devices are blocked, at most ``COUNT_LIMIT + 1``."""
        return self.count_rows(select(activity.device_id).where(activity.blocked))

    def count_rows(self, query: Select[Any]) -> int:
        """Return how many rows a query returns, at most ``COUNT_LIMIT + 1``."""
        limited = query.limit(limits.COUNT_LIMIT + 1).subquery()
        return self.session.scalar(select(func.count()).select_from(limited)) or 0

    def positions(self) -> Subquery:
        """Return a subquery for ids and times of the matching devices, from the activity indexes.

        The database reads each index in its order and stops when the limit is reached.
        """
        parts = []
        for condition in self._ranges():
            part = select(activity.device_id, activity.last_activity_at).where(
                condition, *self.matches(activity)
            )
            # Each part needs a limit, or PostgreSQL sorts all rows of the union.
            parts.append(select(self.ordered(part, activity).limit(self.limit).subquery()))
        return self._merged(parts, self.limit).subquery("positions")

    def next_positions(self, number: int) -> Subquery:
        """Return a subquery like ``positions``, for the matches among the next devices.

        Args:
            number: How many devices to read, matching or not.
        """
        rows = self._next_devices(number)
        matching = select(rows.c.device_id, rows.c.last_activity_at).where(*self.matches(rows.c))
        return self.ordered(matching, rows.c).limit(self.limit).subquery("positions")

    def has_more_than(self, number: int) -> bool:
        """Return whether more than this many devices follow in the list, matching or not."""
        rows = self._next_devices(number + 1)
        return (self.session.scalar(select(func.count()).select_from(rows)) or 0) > number

    def _next_devices(self, number: int) -> Subquery:
        parts: list[Select[Any]] = []
        for condition in self._ranges():
            part = select(activity.device_id, activity.last_activity_at, activity.search_key)
            part = part.where(condition)
            if self.dialect == "postgresql":  # see positions(); SQLite would sort each part
                part = select(self.ordered(part, activity).limit(number).subquery())
            parts.append(part)
        return self._merged(parts, number).subquery("rows")

    def _merged(self, parts: Sequence[Select[Any]], limit: int | None) -> CompoundSelect[Any]:
        union = union_all(*parts)
        return self.ordered(union, union.selected_columns).limit(limit)

    def _ranges(self) -> Iterator[ColumnElement[bool]]:
        """Return the conditions for the ranges of the activity indexes that make up the list.

        With ``from_cursor``, one range per status would do, but SQLite would compare it with each
        row.
        """
        time, device_id = activity.last_activity_at, activity.device_id
        for status in map(_is_blocked, self.blocked):
            if self.cursor is None:
                yield status
            elif self.cursor.direction == "newer":
                yield and_(status, time == self.cursor.moment, device_id > self.cursor.device_id)
                yield and_(status, time > self.cursor.moment)
            else:
                yield and_(status, time == self.cursor.moment, device_id < self.cursor.device_id)
                yield and_(status, time < self.cursor.moment)

    def devices(
        self, query: Select[Any], positions: Subquery, isouter: bool = False
    ) -> Select[Any]:
        """Extend a query to load the devices at these positions, in the list's order."""
        query = (
            query.join(Device, Device.id == positions.c.device_id, isouter=isouter)
            .join(Device.activity, isouter=isouter)
            .options(contains_eager(Device.activity))
        )
        return self.ordered(query, positions.c)

    def from_cursor(self, columns: Any) -> Sequence[ColumnElement[bool]]:
        """Return the condition for rows beyond the cursor, in its direction."""
        if self.cursor is None:
            return ()
        row = tuple_(columns.last_activity_at, columns.device_id)
        cursor = tuple_(literal(self.cursor.moment, UTCDateTime), literal(self.cursor.device_id))
        return [row > cursor if self.cursor.direction == "newer" else row < cursor]

    def ordered(self, query: Ordered, columns: Any) -> Ordered:
        """Sort a query by latest activity: descending, or ascending to find newer pages."""
        position = (columns.last_activity_at, columns.device_id)
        backwards = self.cursor is not None and self.cursor.direction == "newer"
        return query.order_by(
            *(column.asc() if backwards else column.desc() for column in position)
        )


def _is_blocked(blocked: bool) -> ColumnElement[bool]:
    """Return the condition for one status, in the same form as in its partial index."""
    return activity.blocked if blocked else ~activity.blocked
