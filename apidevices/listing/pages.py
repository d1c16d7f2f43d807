"""Pages of the list, and the choice of strategy for finding them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.listing import limits, strategies
from apidevices.listing.conditions import RowCondition
from apidevices.listing.counts import Count, count_common, count_status, is_common
from apidevices.listing.cursor import Cursor
from apidevices.listing.filters import Filters
from apidevices.listing.query import ListQuery, activity
from apidevices.models import Device


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the list, most recently active device first.

    ``newer`` and ``older`` are the cursors of the adjacent pages, or None if there is none.
    """

    devices: Sequence[Device]
    count: Count
    newer: Cursor | None
    older: Cursor | None


def page(db: Database, filters: Filters, cursor: Cursor | None = None) -> Page:
    """Return a page of the list, sorted by latest activity; ``id`` breaks ties."""
    # Without a snapshot, a device that moves to the top between two queries could appear twice or
    # hide another device.
    with db.snapshot() as session:
        found, count = _find(session, filters, cursor)
        size = limits.PAGE_SIZE
        if cursor is not None and cursor.direction == "newer":
            if len(found) > size:
                shown = found[:size][::-1]
                newer, older = Cursor.at("newer", shown[0]), Cursor.at("older", shown[-1])
                return Page(shown, count, newer, older)
            cursor = None  # this is the first page: fill it up
            found, count = _find(session, filters, cursor)
    shown = found[:size]
    return Page(
        shown,
        count,
        newer=Cursor.at("newer", shown[0]) if cursor and shown else None,
        older=Cursor.at("older", shown[-1]) if len(found) > size else None,
    )


def find_all(db: Database, filters: Filters) -> Sequence[Device]:
    """Return all devices that match the filters, most recently active first."""
    with db.read() as session:
        return _find_everywhere(ListQuery(session, filters, cursor=None, limit=None))


def count(db: Database, filters: Filters) -> int:
    """Return how many devices match the filters, exactly. That is slower than the count of a page.

    A million devices take up to some seconds.
    """
    with db.read() as session:
        matching = _matching(session, filters).subquery()
        return session.scalar(select(func.count()).select_from(matching)) or 0


def matching_ids(session: Session, filters: Filters) -> Sequence[int]:
    """Return the ids of all devices that match the filters, in order."""
    return sorted(session.scalars(_matching(session, filters)))


def _matching(session: Session, filters: Filters) -> Select[Any]:
    query = ListQuery(session, filters, cursor=None, limit=None)
    return select(activity.device_id).where(*query.all_conditions)


def _find(
    session: Session, filters: Filters, cursor: Cursor | None
) -> tuple[Sequence[Device], Count]:
    """Return the devices of a page, plus one if there are more, and the total count."""
    query = ListQuery(session, filters, cursor, limits.PAGE_SIZE + 1)
    if not query.conditions:
        return strategies.scan(query), count_status(query)
    for condition in query.conditions:
        if not is_common(query, condition):
            rare = strategies.sort_matches(query, condition, limits.COUNT_LIMIT)
            if rare.matches <= limits.COUNT_LIMIT:
                return rare.devices, Count(rare.listed, exact=True)
    found = strategies.first_scan(query)
    if len(found) <= limits.PAGE_SIZE and query.has_more_than(limits.FIRST_SCAN):
        found = _find_inactive(query)
    return found, count_common(query, found)


def _find_inactive(query: ListQuery) -> Sequence[Device]:
    """Return the devices of a page if the most recently active devices don't fill it."""
    for condition in query.conditions:
        inactive = strategies.sort_matches(query, condition, limits.SORT_LIMIT)
        if inactive.matches <= limits.SORT_LIMIT:
            return inactive.devices
    return _find_everywhere(query)


def _find_everywhere(query: ListQuery) -> Sequence[Device]:
    is_indexed = any(isinstance(condition, RowCondition) for condition in query.conditions)
    return strategies.sort_all(query) if is_indexed else strategies.scan(query)
