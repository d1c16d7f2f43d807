"""Count all devices that match filters, exactly: many filters at once, and by details."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select, true, union_all
from sqlalchemy.orm import Session

from apidevices.listing.conditions import ActivityCondition, RowCondition, Scope
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
    counts: dict[str, int] = {}
    for archived in (False, True):
        some = {name: each for name, each in wanted.items() if each.archived == archived}
        if some:
            counts |= _totals(session, some, _scope(session, now, archived=archived))
    return counts


def _totals(session: Session, wanted: Mapping[str, Filters], scope: Scope) -> Mapping[str, int]:
    counts = dict.fromkeys(wanted, 0)
    for blocked in (False, True):
        columns = {
            name: func.count(case((_condition(filters, blocked, scope), 1)))
            for name, filters in wanted.items()
            if not _row_conditions(filters, scope) and _has_status(filters, blocked)
        }
        listed = scope.with_status(activity, blocked)
        row = session.execute(select(*columns.values()).where(listed)).one()
        for name, number in zip(columns, row, strict=True):
            counts[name] += number
    for name, filters in wanted.items():
        for condition in _row_conditions(filters, scope):
            found = condition.ids.subquery()
            matching = select(func.count()).select_from(found)
            if not condition.within_list:
                matching = matching.join(activity.device_id.table, activity.device_id == found.c.id)
                matching = matching.where(scope.in_activity(activity))
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
    scope = _scope(session, now, archived=filters.archived)
    parts = [
        select(activity.details_id, func.count().label("devices"))
        .where(scope.with_status(activity, blocked), _condition(filters, blocked, scope))
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


def _scope(session: Session, now: datetime, *, archived: bool) -> Scope:
    return Scope(now, session.get_bind().dialect.name, archived)


def _condition(filters: Filters, blocked: bool, scope: Scope) -> ColumnElement[bool]:
    return and_(
        true(),
        *(
            each.in_range(activity, blocked)
            for each in filters.conditions(scope)
            if isinstance(each, ActivityCondition)
        ),
    )


def _row_conditions(filters: Filters, scope: Scope) -> Sequence[RowCondition]:
    return [each for each in filters.conditions(scope) if isinstance(each, RowCondition)]
