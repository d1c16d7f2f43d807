"""Count all devices that match filters, exactly: many filters at once, and by details."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select, true, union_all
from sqlalchemy.orm import Session

from apidevices.listing.conditions import ActivityCondition, RowCondition
from apidevices.listing.filters import Filters
from apidevices.listing.order import activity
from apidevices.models import Details


def totals(session: Session, wanted: Mapping[str, Filters], now: datetime) -> Mapping[str, int]:
    """Return how many devices match each of some filters, by any names.

    It reads all devices once, however many filters there are, which takes up to a second for a
    million devices.

    Args:
        session: The session to run in.
        wanted: The filters. Each has a status and filters on the activity, or nothing but one
            filter that has an index of its own, such as ``registered_after``.
        now: The current time.
    """
    counts = dict.fromkeys(wanted, 0)
    for blocked in (False, True):
        columns = {
            name: func.count(case((_condition(session, filters, blocked, now), 1)))
            for name, filters in wanted.items()
            if not _row_conditions(session, filters, now) and _has_status(filters, blocked)
        }
        row = session.execute(select(*columns.values()).where(_status(blocked))).one()
        for name, number in zip(columns, row, strict=True):
            counts[name] += number
    for name, filters in wanted.items():
        for condition in _row_conditions(session, filters, now):
            matching = select(func.count()).select_from(condition.ids.subquery())
            counts[name] = session.scalar(matching) or 0
    return counts


def totals_by_details(
    session: Session, filters: Filters, fields: Sequence[str], now: datetime
) -> Sequence[Any]:
    """Return how many devices match filters, for each combination of some details.

    Args:
        session: The session to run in.
        filters: Filters on the activity.
        fields: The names of the details.
        now: The current time.

    Returns:
        Rows with the details, and the number of devices.
    """
    parts = [
        select(activity.details_id, func.count().label("devices"))
        .where(_status(blocked), _condition(session, filters, blocked, now))
        .group_by(activity.details_id)
        for blocked in (False, True)
    ]
    counted = union_all(*parts).subquery()
    columns = [getattr(Details, field) for field in fields]
    query = (
        select(*columns, func.sum(counted.c.devices))
        .select_from(counted)
        .outerjoin(Details, Details.id == counted.c.details_id)
        .group_by(*columns)
    )
    return [(*details, int(devices)) for *details, devices in session.execute(query)]


def _has_status(filters: Filters, blocked: bool) -> bool:
    return filters.status in ("all", "blocked" if blocked else "active")


def _status(blocked: bool) -> ColumnElement[bool]:
    """Return the condition for one status, in the same form as in its partial index."""
    condition: Any = activity.blocked if blocked else ~activity.blocked
    return condition  # type: ignore[no-any-return]


def _condition(
    session: Session, filters: Filters, blocked: bool, now: datetime
) -> ColumnElement[bool]:
    dialect = session.get_bind().dialect.name
    conditions = filters.conditions(now, dialect)
    return and_(
        true(),
        *(
            each.in_range(activity, blocked)
            for each in conditions
            if isinstance(each, ActivityCondition)
        ),
    )


def _row_conditions(session: Session, filters: Filters, now: datetime) -> Sequence[RowCondition]:
    conditions = filters.conditions(now, session.get_bind().dialect.name)
    return [each for each in conditions if isinstance(each, RowCondition)]
