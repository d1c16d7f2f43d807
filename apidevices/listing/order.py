"""The orders of the list: by which columns it is sorted, and where they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, literal, true, tuple_

from apidevices.listing.cursor import Cursor, Sort
from apidevices.models import DeviceActivity, DeviceKeys

Ordered = TypeVar("Ordered", Select[Any], CompoundSelect[Any])

activity = DeviceActivity.__table__.c
keys = DeviceKeys.__table__.c


@dataclass(frozen=True, slots=True)
class Order:
    """The order in which a query reads the list.

    Args:
        key: The column that the list is sorted by.
        device_id: The column that breaks ties, in the same table.
        row: The columns that conditions need, in the same table.
        descending: Whether the query reads from the highest key to the lowest.
        cursor: Where it starts; None for the beginning.
    """

    key: ColumnElement[Any]
    device_id: ColumnElement[Any]
    row: Sequence[ColumnElement[Any]]
    descending: bool
    cursor: Cursor | None

    @classmethod
    def of(cls, sort: Sort, cursor: Cursor | None) -> "Order":
        """Return the order for a cursor: backwards if it leads to the page before."""
        name = sort.removeprefix("-")
        descending = (name != "name") != sort.startswith("-")
        if cursor is not None and cursor.direction == "newer":
            descending = not descending
        if name == "activity":
            row = (activity.details_id, activity.search_key)
            return cls(activity.last_activity_at, activity.device_id, row, descending, cursor)
        key = keys.sort_key if name == "name" else keys.first_seen_at
        return cls(key, keys.device_id, (keys.details_id,), descending, cursor)

    @property
    def columns(self) -> Any:
        """The columns of the table that has this order."""
        return self.device_id.table.c

    @property
    def by_activity(self) -> bool:
        """Whether the activity indexes have this order, with one index for each status."""
        return self.key is activity.last_activity_at

    def ranges(self) -> list[ColumnElement[bool]]:
        """Return conditions for the ranges of an index that follow the cursor.

        One condition would do, but SQLite would compare it with each row.
        """
        if self.cursor is None:
            return [true()]
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
