"""The orders of the list: by which columns it is sorted, and where they are."""

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, literal, tuple_

from apidevices.listing import search
from apidevices.listing.cursor import Cursor, Sort
from apidevices.models import Device, DeviceActivity

Ordered = TypeVar("Ordered", Select[Any], CompoundSelect[Any])

activity = DeviceActivity.__table__.c
devices = Device.__table__.c


@dataclass(frozen=True, slots=True)
class Order:
    """The order in which a query reads the list.

    Args:
        key: The column that the list is sorted by.
        device_id: The column that breaks ties, in the same table.
        search_key: The column of the search key in that table.
        descending: Whether the query reads from the highest key to the lowest.
        cursor: Where it starts; None for the beginning.
    """

    key: ColumnElement[Any]
    device_id: ColumnElement[Any]
    search_key: ColumnElement[Any]
    descending: bool
    cursor: Cursor | None

    @classmethod
    def of(cls, dialect: str, sort: Sort, cursor: Cursor | None) -> "Order":
        """Return the order for a cursor: backwards if it leads to the page before."""
        name = sort.removeprefix("-")
        descending = (name != "name") != sort.startswith("-")
        if cursor is not None and cursor.direction == "newer":
            descending = not descending
        if name == "activity":
            key: ColumnElement[Any] = activity.last_activity_at
            return cls(key, activity.device_id, activity.search_key, descending, cursor)
        is_name = name == "name"
        key = search.sort_key_of(dialect, devices.search_key) if is_name else devices.first_seen_at
        return cls(key, devices.id, devices.search_key, descending, cursor)

    @property
    def by_activity(self) -> bool:
        """Whether the activity indexes have this order, with one index for each status."""
        return self.key is activity.last_activity_at

    def ranges(self) -> list[ColumnElement[bool]]:
        """Return conditions for the ranges of an index that follow the cursor.

        One condition would do, but SQLite would compare it with each row.
        """
        if self.cursor is None:
            return []
        key = literal(self.cursor.key, self.key.type)
        if self.descending:
            return [and_(self.key == key, self.device_id < self.cursor.device_id), self.key < key]
        return [and_(self.key == key, self.device_id > self.cursor.device_id), self.key > key]

    def from_cursor(self, columns: Any) -> list[ColumnElement[bool]]:
        """Return the condition for rows beyond the cursor; they have ``key`` and ``device_id``."""
        if self.cursor is None:
            return []
        row = tuple_(columns.key, columns.device_id)
        key = literal(self.cursor.key, self.key.type)
        cursor = tuple_(key, literal(self.cursor.device_id))
        return [row < cursor if self.descending else row > cursor]

    def sorted(self, query: Ordered, columns: Any) -> Ordered:
        """Sort a query whose rows have ``key`` and ``device_id``."""
        position = (columns.key, columns.device_id)
        return query.order_by(
            *(column.desc() if self.descending else column.asc() for column in position)
        )
