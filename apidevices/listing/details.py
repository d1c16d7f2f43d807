"""The filters for what devices report about themselves: application, system and hardware."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from apidevices.listing.conditions import RowCondition, device
from apidevices.listing.filters import ANY_CASE, Filters
from apidevices.listing.search import fold
from apidevices.listing.versions import is_below, version_key


def details_condition(session: Session, filters: Filters) -> RowCondition | None:
    """Return the condition that a device has the wanted details, or None for any details."""
    conditions = list(_conditions(session, filters))
    return RowCondition(device.id, and_(*conditions)) if conditions else None


def _conditions(session: Session, filters: Filters) -> Iterator[ColumnElement[bool]]:
    for field, wanted in filters.details.items():
        column = getattr(device, field)
        if field not in ANY_CASE:
            yield column == wanted
            continue
        values = session.scalars(select(column).distinct().where(column.is_not(None)))
        yield column.in_([value for value in values if fold(value) == fold(wanted)])
    if filters.version_below:
        limit = version_key(filters.version_below)
        column = device.application_version
        values = session.scalars(select(column).distinct().where(column.is_not(None)))
        yield column.in_(
            [value for value in values if limit is not None and is_below(value, limit)]
        )
