"""One question to the list, and the SQL that all strategies build on."""

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

# The values of "blocked" that a status stands for.
_BLOCKED: Mapping[Status, Sequence[bool]] = {
    "all": (False, True),
    "active": (False,),
    "blocked": (True,),
}

Ordered = TypeVar("Ordered", Select[Any], CompoundSelect[Any])


class ListQuery:
    """Filters and cursor of a page, in a session.

    Args:
        session: where to ask; all answers must come from one snapshot.
        filters: which devices to return.
        cursor: where to start; at the newest device without one.
        limit: how many devices to return; all of them without one.
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
    def has_text(self) -> ColumnElement[bool]:
        """The condition for a device to have the text."""
        return search.contains(self.dialect, self.text, Device.search_key)

    @property
    def has_status(self) -> ColumnElement[bool]:
        """The condition for a device to have the status."""
        return or_(*map(_is_blocked, self.blocked))

    @cached_property
    def length(self) -> int:
        """How many devices have the status, at most: the highest id unless few are blocked."""
        if self.blocked == (True,) and self.blocked_count <= limits.COUNT_LIMIT:
            return self.blocked_count
        return self.session.scalar(select(func.max(Device.id))) or 0

    @cached_property
    def blocked_count(self) -> int:
        """How many devices are blocked; ``COUNT_LIMIT + 1`` at most."""
        return self.count_rows(select(activity.device_id).where(activity.blocked))

    def count_rows(self, query: Select[Any]) -> int:
        """Return how many rows a query has; ``COUNT_LIMIT + 1`` at most."""
        limited = query.limit(limits.COUNT_LIMIT + 1).subquery()
        return self.session.scalar(select(func.count()).select_from(limited)) or 0

    def positions(self, number: int | None, skip: int) -> Subquery:
        """Return the query for id and time of the next devices, by the index of each status."""
        parts = []
        for blocked in self.blocked:
            part = select(activity.device_id, activity.last_activity_at).where(
                _is_blocked(blocked), *self.from_cursor(activity)
            )
            # Without a limit of its own, PostgreSQL would sort all of them.
            last = None if number is None else skip + number
            parts.append(select(self.ordered(part, activity).limit(last).subquery()))
        both = union_all(*parts)
        ordered = self.ordered(both, both.selected_columns)
        return ordered.limit(number).offset(skip or None).subquery("places")

    def devices(
        self, query: Select[Any], positions: Subquery, isouter: bool = False
    ) -> Select[Any]:
        """Make a query return the devices at these positions, in their order."""
        query = (
            query.join(Device, Device.id == positions.c.device_id, isouter=isouter)
            .join(Device.activity, isouter=isouter)
            .options(contains_eager(Device.activity))
        )
        return self.ordered(query, positions.c)

    def from_cursor(self, columns: Any) -> Sequence[ColumnElement[bool]]:
        """Return the condition for what follows the cursor, in its direction."""
        if self.cursor is None:
            return ()
        position = tuple_(columns.last_activity_at, columns.device_id)
        here = tuple_(literal(self.cursor.moment, UTCDateTime), literal(self.cursor.device_id))
        return [position > here if self.cursor.direction == "newer" else position < here]

    def ordered(self, query: Ordered, columns: Any) -> Ordered:
        """Order a query as the list is: newest first, or oldest first towards newer pages."""
        position = (columns.last_activity_at, columns.device_id)
        backwards = self.cursor is not None and self.cursor.direction == "newer"
        return query.order_by(
            *(column.asc() if backwards else column.desc() for column in position)
        )


def _is_blocked(blocked: bool) -> ColumnElement[bool]:
    """Return the condition of a status, worded as its partial index words it."""
    return activity.blocked if blocked else ~activity.blocked
