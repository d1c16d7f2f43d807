"""One query of the list, and the SQL that all strategies build on."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Subquery,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session, contains_eager

from apidevices.listing import limits, search
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

    @property
    def matches_text(self) -> ColumnElement[bool]:
        """The condition that a device's name or identifier contains the search text."""
        return search.contains(self.dialect, self.text, Device.search_key)

    @property
    def matches_status(self) -> ColumnElement[bool]:
        """The condition that a device has the status."""
        return or_(*map(_is_blocked, self.blocked))

    @cached_property
    def list_length(self) -> int:
        """An upper bound for the number of devices with the status.

        This is the highest id, unless the list shows blocked devices only and these are few.
        """
        if self.blocked == (True,) and self.blocked_count <= limits.COUNT_LIMIT:
            return self.blocked_count
        return self.session.scalar(select(func.max(Device.id))) or 0

    @cached_property
    def blocked_count(self) -> int:
        """How many devices are blocked, at most ``COUNT_LIMIT + 1``."""
        return self.count_rows(select(activity.device_id).where(activity.blocked))

    def count_rows(self, query: Select[Any]) -> int:
        """Return how many rows a query returns, at most ``COUNT_LIMIT + 1``."""
        limited = query.limit(limits.COUNT_LIMIT + 1).subquery()
        return self.session.scalar(select(func.count()).select_from(limited)) or 0

    def positions(self, number: int | None, skip: int) -> Subquery:
        """Return a subquery for ids and times of the next devices, from the activity indexes."""
        parts = []
        for blocked in self.blocked:
            part = select(activity.device_id, activity.last_activity_at).where(
                _is_blocked(blocked), *self.from_cursor(activity)
            )
            # Each part needs a limit, or PostgreSQL sorts all rows of the union.
            end = None if number is None else skip + number
            parts.append(select(self.ordered(part, activity).limit(end).subquery()))
        union = union_all(*parts)
        ordered = self.ordered(union, union.selected_columns)
        return ordered.limit(number).offset(skip or None).subquery("positions")

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
