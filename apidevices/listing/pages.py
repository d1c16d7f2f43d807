"""Pages of the list; chooses the strategy for each."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.listing import limits, strategies
from apidevices.listing.counts import Count, count_common, count_status, is_common
from apidevices.listing.cursor import Cursor
from apidevices.listing.filters import Filters
from apidevices.listing.query import ListQuery
from apidevices.models import Device


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the list, newest first, with the cursors of its neighbours if there are any."""

    devices: Sequence[Device]
    count: Count
    newer: Cursor | None
    older: Cursor | None


def page(db: Database, filters: Filters, cursor: Cursor | None = None) -> Page:
    """Return a page of the list: most recently active first, ``id`` breaks ties."""
    # A device that moves to the top between two queries must not be found twice, or hide another.
    with db.snapshot() as session:
        found, count = _find(session, filters, cursor)
        size = limits.PAGE_SIZE
        if cursor is not None and cursor.direction == "newer":
            if len(found) > size:
                shown = found[:size][::-1]
                newer, older = Cursor.at("newer", shown[0]), Cursor.at("older", shown[-1])
                return Page(shown, count, newer, older)
            cursor = None  # nothing newer is left, so this is the first page
            found, count = _find(session, filters, cursor)
    shown = found[:size]
    return Page(
        shown,
        count,
        newer=Cursor.at("newer", shown[0]) if cursor and shown else None,
        older=Cursor.at("older", shown[-1]) if len(found) > size else None,
    )


def every(db: Database, filters: Filters) -> Sequence[Device]:
    """Return all devices that the filters leave, most recently active first."""
    with db.read() as session:
        return strategies.scan(ListQuery(session, filters, cursor=None, limit=None), None)


def _find(
    session: Session, filters: Filters, cursor: Cursor | None
) -> tuple[Sequence[Device], Count]:
    """Return the devices of a page and one more, and how many there are in all."""
    query = ListQuery(session, filters, cursor, limits.PAGE_SIZE + 1)
    if not query.text:
        return strategies.in_order(query), count_status(query)
    found = strategies.scan(query, limits.FIRST_SCAN)
    if len(found) < limits.COMMON_MATCHES or not is_common(query):
        rare = strategies.sort_matches(query, limits.COUNT_LIMIT)
        if rare.matches <= limits.COUNT_LIMIT:
            return rare.devices, Count(rare.in_status, exact=True)
    found = strategies.scan_on(query, found, limits.FIRST_SCAN, limits.LONG_SCAN)
    if len(found) <= limits.PAGE_SIZE and query.length > limits.LONG_SCAN:
        old = strategies.sort_matches(query, limits.SORT_LIMIT)
        if old.matches <= limits.SORT_LIMIT:
            found = old.devices
        else:
            found = strategies.scan_on(query, found, limits.LONG_SCAN, query.length)
    return found, count_common(query, found)
