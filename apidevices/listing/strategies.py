"""The strategies that find a page of the list, one function each.

Each returns up to ``query.limit`` devices in the list's order, starting at the cursor. The table in
the docstring of ``apidevices.listing`` explains when each strategy is used, why, and its cost.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import func, select, true

from apidevices.listing import limits, search
from apidevices.listing.query import ListQuery, activity
from apidevices.models import Device


class SortedMatches(NamedTuple):
    """The result of ``sort_matches``."""

    matches: int
    """How many devices match the search text; ``limit + 1`` if there are too many to sort."""
    in_status: int
    """How many of the matches have the status; 0 if there are too many to sort."""
    devices: Sequence[Device]


def in_order(query: ListQuery) -> Sequence[Device]:
    """Read the page from the activity indexes; for queries without a search text."""
    return scan(query, query.limit)


def scan(query: ListQuery, number: int | None, skip: int = 0) -> Sequence[Device]:
    """Read the next devices from the activity indexes and keep those that match the search text.

    Args:
        query: The query to answer.
        number: How many devices to read, matching or not; None for all.
        skip: How many devices to skip first.
    """
    positions = query.positions(number, skip)
    if query.text:  # filter first: whole rows are only loaded for matches
        matching = select(positions).join(Device, Device.id == positions.c.device_id)
        matching = matching.where(query.matches_text)
        matching = query.ordered(matching, positions.c).limit(query.limit)
        positions = matching.subquery("matching")
    found = query.devices(select(Device).select_from(positions), positions)
    return query.session.scalars(found).all()


def continue_scan(
    query: ListQuery, found: Sequence[Device], scanned: int, until: int
) -> Sequence[Device]:
    """Continue a scan in growing slices, until the page is full or the scan reaches its limit.

    Args:
        query: The query to answer.
        found: The devices found so far.
        scanned: How many devices have been read so far.
        until: How many devices to read at most, including ``scanned``.
    """
    until = min(until, query.list_length)
    while len(found) <= limits.PAGE_SIZE and scanned < until:
        number = min(3 * scanned, until - scanned)
        found = [*found, *scan(query, number, scanned)]
        scanned += number
    return found[: query.limit]


def sort_matches(query: ListQuery, limit: int) -> SortedMatches:
    """Sort the matches from the search index, unless there are more than ``limit``."""
    matching_ids = search.matching_ids(query.dialect, query.text)
    found = matching_ids.limit(limit + 1).cte("matches").prefix_with("MATERIALIZED")
    matches = select(func.count()).select_from(found).scalar_subquery()
    # Materialized, because the planner might otherwise start from all devices with the status.
    positions = (
        select(activity.device_id, activity.last_activity_at, activity.blocked)
        .join(found, found.c.id == activity.device_id)
        .where(matches <= limit)
        .cte("positions")
        .prefix_with("MATERIALIZED")
    )
    in_status = select(positions)
    if len(query.blocked) == 1:
        in_status = in_status.where(positions.c.blocked == query.blocked[0])
    totals = select(
        matches.label("matches"),
        select(func.count()).select_from(in_status.subquery()).scalar_subquery().label("in_status"),
    ).subquery("totals")
    in_status = in_status.where(*query.from_cursor(positions.c))
    first = query.ordered(in_status, positions.c).limit(query.limit).subquery("first")
    devices = query.devices(
        select(totals, Device).outerjoin_from(totals, first, true()), first, isouter=True
    )
    rows = query.session.execute(devices).all()
    found_devices = [row.Device for row in rows if row.Device]
    return SortedMatches(rows[0].matches, rows[0].in_status, found_devices)
