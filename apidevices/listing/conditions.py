"""Conditions that filters put on devices, each in the two forms that the strategies need."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import aliased

from apidevices.listing import search
from apidevices.models import Device, DeviceActivity

# Aliases, so that a condition can be part of a query of the same table.
device = aliased(Device)
activity = aliased(DeviceActivity)


class Condition(Protocol):
    """A condition on devices."""

    @property
    def ids(self) -> Select[Any]:
        """The query for the ids of all devices that fulfill the condition, by an index."""

    def holds_for(self, row: Any) -> ColumnElement[bool]:
        """Return the condition for one row.

        Args:
            row: The columns ``device_id`` and ``search_key`` of the activity.
        """


@dataclass(frozen=True, slots=True)
class RowCondition:
    """The condition that a table has a matching row for the device.

    Args:
        device_id: The column of that table with the id of the device.
        matches: The condition on the row. An index must find the rows that fulfill it.
    """

    device_id: Any
    matches: ColumnElement[bool]

    @property
    def ids(self) -> Select[Any]:
        """The query for the ids of all devices that fulfill the condition."""
        return select(self.device_id.label("id")).where(self.matches)

    def holds_for(self, row: Any) -> ColumnElement[bool]:
        """Return the condition for one row."""
        return exists().where(self.device_id == row.device_id, self.matches)


def has_status(blocked: bool) -> RowCondition:
    """Return the condition that a device is blocked, or that it isn't."""
    return RowCondition(activity.device_id, activity.blocked == blocked)


@dataclass(frozen=True, slots=True)
class TextCondition:
    """The condition that a device's name or identifier contains a folded search text."""

    dialect: str
    text: str

    @property
    def ids(self) -> Select[Any]:
        """The query for the ids of all devices that fulfill the condition."""
        return search.matching_ids(self.dialect, self.text)

    def holds_for(self, row: Any) -> ColumnElement[bool]:
        """Return the condition for one row.

        It needs only the activity indexes, except for search keys that are too long for them.
        """
        long_key = select(device.search_key).where(device.id == row.device_id)
        key = func.coalesce(row.search_key, long_key.scalar_subquery())
        return search.contains(self.dialect, self.text, key)


@dataclass(frozen=True, slots=True)
class Keeps:
    """Marks a field of ``Filters`` and says which devices it keeps.

    Args:
        device_id: The column of a table with the id of the device.
        matches: Returns the condition on a row of that table for a value of the field and the
            current time.
    """

    device_id: Any
    matches: Callable[[Any, datetime], ColumnElement[bool]]

    def condition(self, value: Any, now: datetime) -> RowCondition:
        """Return the condition for a value of the field."""
        return RowCondition(self.device_id, self.matches(value, now))
