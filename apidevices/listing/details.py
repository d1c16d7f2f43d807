"""The filters for what devices report about themselves: application, system and hardware.

A fleet has few combinations of details, and each is stored once, see ``models.Details``. So all
these filters together are one condition: that a device has one of the combinations that match.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, UnaryExpression, select
from sqlalchemy import func as sql
from sqlalchemy.orm import Session
from sqlalchemy.sql.operators import custom_op

from apidevices.listing import limits
from apidevices.listing.conditions import Scope, keys
from apidevices.listing.filters import ANY_CASE, Filters
from apidevices.listing.search import fold
from apidevices.listing.versions import is_below, version_key
from apidevices.models import Details


@dataclass(frozen=True, slots=True)
class DetailsCondition:
    """The condition that a device has one of some combinations of details.

    Args:
        scope: The database, and whether the list has the archived devices.
        combinations: Their ids, or the query for them if there are very many.
    """

    scope: Scope
    combinations: Any

    @property
    def within_list(self) -> bool:
        """Whether ``ids`` leaves out archived devices, or all others, as the list does."""
        return True

    @property
    def ids(self) -> Select[Any]:
        """The query for the ids of all devices that fulfill the condition."""
        return select(keys.device_id.label("id")).where(
            keys.details_id.in_(self.combinations), self.scope.in_keys(keys)
        )

    def holds_for(self, row: Any) -> ColumnElement[bool]:
        """Return the condition for one row."""
        details_id = row.details_id
        if self.scope.dialect == "sqlite":
            # The plus sign makes SQLite read an index in the list's order, instead of finding all
            # matches by the index of the column and sorting them.
            details_id = UnaryExpression(details_id, operator=custom_op("+"), type_=details_id.type)
        condition: ColumnElement[bool] = details_id.in_(self.combinations)
        return condition


def details_condition(session: Session, filters: Filters, scope: Scope) -> DetailsCondition | None:
    """Return the condition that a device has the wanted details, or None for any details."""
    if not filters.details and not filters.version_below:
        return None
    matching = list(_conditions(session, filters))
    query = select(Details.id).where(*matching)
    if filters.version_below:
        limit = version_key(filters.version_below)
        versions = _distinct(session, Details.application_version, *matching)
        below = [each for each in versions if limit is not None and is_below(each, limit)]
        query = query.where(Details.application_version.in_(below))
    ids = session.scalars(query.limit(limits.MAX_COMBINATIONS + 1)).all()
    return DetailsCondition(scope, query if len(ids) > limits.MAX_COMBINATIONS else ids)


def _conditions(session: Session, filters: Filters) -> Iterator[ColumnElement[bool]]:
    for field, wanted in filters.details.items():
        column = getattr(Details, field)
        if field in ANY_CASE:
            folded = fold(wanted)
            yield column.in_([each for each in _values(session, column) if fold(each) == folded])
        else:
            yield column == wanted


def _distinct(session: Session, column: Any, *conditions: ColumnElement[bool]) -> list[str]:
    query = select(column).distinct().where(column.is_not(None), *conditions)
    return list(session.scalars(query))


def _values(session: Session, column: Any) -> Iterator[str]:
    """Return the different values of a column.

    The database looks up one after the other in the index of the column, instead of reading all
    combinations.
    """
    values = select(sql.min(column).label("value")).cte("known", recursive=True)
    following = select(sql.min(column)).where(column > values.c.value).scalar_subquery()
    values = values.union_all(select(following).where(values.c.value.is_not(None)))
    yield from session.scalars(select(values.c.value).where(values.c.value.is_not(None)))
