"""Pages of the list, and the choice of strategy for finding them."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from apidevices import clock
from apidevices.database import Database
from apidevices.errors import InvalidInput
from apidevices.listing import limits, strategies
from apidevices.listing.conditions import RowCondition
from apidevices.listing.counts import (
    Count,
    count_common,
    count_ranges,
    count_status,
    is_common,
)
from apidevices.listing.cursor import Cursor, Sort
from apidevices.listing.filters import Filters, Status
from apidevices.listing.order import activity
from apidevices.listing.query import ListQuery, Wanted
from apidevices.models import Device

_STATUSES: Sequence[Status] = ("all", "blocked", "active")

LOADED = 1_000
"""How many devices ``iterate`` loads at a time."""

IDS_LOADED = 10_000
"""How many ids ``iterate`` loads at a time. All ids of a million devices, at once, would take four
times the memory."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the list.

    Args:
        devices: The devices, in the order of the list.
        count: How many devices match the filters.
        first: The number of the first device in the list, starting with 1. It may be off by the
            devices that have moved since the cursor was made.
        newer: The cursor of the page before, or None if there is none.
        older: The cursor of the page that follows, or None if there is none.
    """

    devices: Sequence[Device]
    count: Count
    first: int
    newer: Cursor | None
    older: Cursor | None


def page(
    db: Database,
    filters: Filters,
    cursor: Cursor | None = None,
    *,
    sort: Sort = "activity",
    now: datetime | None = None,
) -> Page:
    """Return a page of the list.

    Args:
        db: The database.
        filters: Which devices to list.
        cursor: The cursor of the page; None for the first page.
        sort: The order; ``id`` breaks ties.
        now: The current time.

    Raises:
        InvalidInput: The cursor belongs to a list in another order.
    """
    if cursor is not None and cursor.sort != sort:
        raise InvalidInput("cursor", "The cursor belongs to a list in another order.")
    wanted = Wanted(filters, sort, now or clock.now())
    size = limits.PAGE_SIZE
    # Without a snapshot, a device that moves to the top between two queries could appear twice or
    # hide another device.
    with db.snapshot() as session:
        found, count = _find(session, wanted, cursor)
        if cursor is not None and cursor.direction == "newer":
            if len(found) > size:
                first = max(cursor.number - size, 1)
                return _page(found[:size][::-1], count, first, sort, is_first=False, is_last=False)
            cursor = None  # this is the first page: fill it up
            found, count = _find(session, wanted, cursor)
    first = cursor.number + 1 if cursor else 1
    return _page(
        found[:size], count, first, sort, is_first=cursor is None, is_last=len(found) <= size
    )


def _page(
    shown: Sequence[Device], count: Count, first: int, sort: Sort, *, is_first: bool, is_last: bool
) -> Page:
    last = first + len(shown) - 1
    return Page(
        shown,
        count,
        first,
        newer=None if is_first or not shown else Cursor.at("newer", sort, shown[0], first),
        older=None if is_last else Cursor.at("older", sort, shown[-1], last),
    )


def iterate(
    db: Database, filters: Filters, sort: Sort = "activity", *, now: datetime | None = None
) -> Iterator[Device]:
    """Yield all devices that match the filters, in the order of the list.

    The devices and their order are those at the beginning; only their ids are kept in memory. Each
    device is as it is when it is loaded, some at a time; deleted devices are left out.
    """
    # A snapshot, because only within a transaction does PostgreSQL send the ids part by part.
    with db.snapshot() as session:
        query = ListQuery(session, Wanted(filters, sort, now or clock.now()))
        found = query.all_matches(*query.position).subquery()
        sorted_ids = query.order.sorted(select(found.c.device_id), found.c)
        rows = session.execute(sorted_ids, execution_options={"stream_results": True})
        ids = array("q")
        for part in rows.scalars().partitions(IDS_LOADED):
            ids.extend(part)
    for start in range(0, len(ids), LOADED):
        some = ids[start : start + LOADED]
        with db.read() as session:
            loaded = session.scalars(select(Device).where(Device.id.in_(db.id_list(some))))
            by_id = {device.id: device for device in loaded}
        yield from (by_id[device_id] for device_id in some if device_id in by_id)


def count(db: Database, filters: Filters, *, now: datetime | None = None) -> int:
    """Return how many devices match the filters, exactly. That is slower than the count of a page.

    A million devices take up to some seconds.
    """
    with db.read() as session:
        query = ListQuery(session, Wanted(filters, "activity", now or clock.now()))
        matching = query.all_matches(activity.device_id).subquery()
        return session.scalar(select(func.count()).select_from(matching)) or 0


def status_counts(
    db: Database, filters: Filters, *, known: Count | None = None, now: datetime | None = None
) -> Mapping[Status, Count]:
    """Return how many devices match the filters with each status, instead of that in the filters.

    Args:
        db: The database.
        filters: Which devices to count.
        known: The count of a page with these filters, which is then not counted again.
        now: The current time.
    """
    now = now or clock.now()
    counts: dict[Status, Count] = {} if known is None else {filters.status: known}
    with db.snapshot() as session:
        for status in _STATUSES:
            if status not in counts:
                counts[status] = _difference(counts) or _count(session, filters, status, now)
    return counts


def archived_count(db: Database, filters: Filters, *, now: datetime | None = None) -> Count:
    """Return how many archived devices match the filters, which leave them out."""
    archived = filters.model_copy(update={"archived": True})
    with db.snapshot() as session:
        return _count(session, archived, filters.status, now or clock.now())


def _difference(counts: Mapping[Status, Count]) -> Count | None:
    """Return the count of "active" or "blocked", if it follows from the other two."""
    if len(counts) < 2 or "all" not in counts or not all(each.exact for each in counts.values()):
        return None
    other = next(count for status, count in counts.items() if status != "all")
    return Count(counts["all"].number - other.number, exact=True)


def _count(session: Session, filters: Filters, status: Status, now: datetime) -> Count:
    wanted = Wanted(filters.model_copy(update={"status": status}), "activity", now)
    query = ListQuery(session, wanted)
    return _find(session, wanted, cursor=None)[1] if query.conditions else count_ranges(query)


def matching_ids(
    session: Session, filters: Filters, *, now: datetime | None = None
) -> Sequence[int]:
    """Return the ids of all devices that match the filters, in order."""
    query = ListQuery(session, Wanted(filters, "activity", now or clock.now()))
    return sorted(session.scalars(query.all_matches(activity.device_id)))


def _find(
    session: Session, wanted: Wanted, cursor: Cursor | None
) -> tuple[Sequence[Device], Count]:
    """Return the devices of a page, plus one if there are more, and the total count."""
    query = ListQuery(session, wanted, cursor, limits.PAGE_SIZE + 1)
    if not query.conditions:
        found = strategies.scan(query)
        return found, count_status(query, found)
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
    """Return the devices of a page if the first devices of the list don't fill it."""
    for condition in query.conditions:
        inactive = strategies.sort_matches(query, condition, limits.SORT_LIMIT)
        if inactive.matches <= limits.SORT_LIMIT:
            return inactive.devices
    if all(isinstance(condition, RowCondition) for condition in query.conditions):
        return strategies.sort_all(query)
    return strategies.scan(query)
