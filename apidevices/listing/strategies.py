"""The strategies to find a page, each a function; the package's docstring says when and why.

Each returns up to ``query.limit`` devices, in the order of the list, from the cursor on.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import func, select, true

from apidevices.listing import limits, search
from apidevices.listing.query import ListQuery, activity
from apidevices.models import Device


class SortedMatches(NamedTuple):
    """What ``sort_matches`` found."""

    matches: int
    """How many devices have the text; ``limit + 1`` if there were too many to sort."""
    in_status: int
    """How many of them have the status; 0 if there were too many to sort."""
    devices: Sequence[Device]


def in_order(query: ListQuery) -> Sequence[Device]:
    """Follow the list, where there is no text to search for."""
    return scan(query, query.limit)


def scan(query: ListQuery, number: int | None, skip: int = 0) -> Sequence[Device]:
    """Follow the list and keep what has the text.

    Args:
        query: what to look for.
        number: how many devices of the list to look at; all of them if None.
        skip: how many to pass over first.
    """
    positions = query.positions(number, skip)
    if query.text:  # checked before anything else of a device is read
        matching = select(positions).join(Device, Device.id == positions.c.device_id)
        matching = matching.where(query.has_text)
        matching = query.ordered(matching, positions.c).limit(query.limit)
        positions = matching.subquery("matching")
    found = query.devices(select(Device).select_from(positions), positions)
    return query.session.scalars(found).all()


def scan_on(
    query: ListQuery, found: Sequence[Device], scanned: int, until: int
) -> Sequence[Device]:
    """Go on with a scan, in slices that grow, until the page is full.

    Args:
        query: what to look for.
        found: what the scan has found so far.
        scanned: how many devices it has looked at.
        until: how many it may look at.
    """
    until = min(until, query.length)
    while len(found) <= limits.PAGE_SIZE and scanned < until:
        number = min(3 * scanned, until - scanned)
        found = [*found, *scan(query, number, scanned)]
        scanned += number
    return found[: query.limit]


def sort_matches(query: ListQuery, limit: int) -> SortedMatches:
    """Sort the devices that the text index names, unless they are more than the limit."""
    named = search.by_index(query.dialect, query.text)
    found = named.limit(limit + 1).cte("matches").prefix_with("MATERIALIZED")
    matches = select(func.count()).select_from(found).scalar_subquery()
    # Materialized, or a planner may start from all devices that have the status.
    positions = (
        select(activity.device_id, activity.last_activity_at, activity.blocked)
        .join(found, found.c.id == activity.device_id)
        .where(matches <= limit)
        .cte("places")
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
