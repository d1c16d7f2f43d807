"""The strategies that find a page of the list, one function each.

Each returns up to ``query.limit`` devices in the list's order, starting at the cursor. The table in
the docstring of ``apidevices.listing`` explains when each strategy is used, why, and its cost.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import CompoundSelect, Select, func, select, true

from apidevices.listing import limits
from apidevices.listing.conditions import Condition
from apidevices.listing.order import activity
from apidevices.listing.query import ListQuery
from apidevices.models import Device


class SortedMatches(NamedTuple):
    """The result of ``sort_matches``."""

    matches: int
    """How many devices fulfill the condition; ``limit + 1`` if there are too many to sort."""
    listed: int
    """How many of them match all filters; 0 if there are too many to sort."""
    devices: Sequence[Device]


def first_scan(query: ListQuery) -> Sequence[Device]:
    """Read the next ``FIRST_SCAN`` devices of the list and keep those that match."""
    return _devices_at(query, query.next_positions(limits.FIRST_SCAN))


def scan(query: ListQuery) -> Sequence[Device]:
    """Read the activity indexes in order, until enough devices match or the list ends."""
    return _devices_at(query, query.positions())


def sort_all(query: ListQuery) -> Sequence[Device]:
    """Find all matches by the indexes of the conditions, and sort them."""
    order = query.order
    found = query.all_matches(*query.position).subquery()
    first = select(found).where(*order.from_cursor(found.c))
    return _devices_at(query, order.sorted(first, found.c).limit(query.limit))


def _devices_at(query: ListQuery, found: Select[Any] | CompoundSelect[Any]) -> Sequence[Device]:
    # Materialized, because PostgreSQL otherwise adds the estimated cost of the positions to that of
    # each way to load the devices. If it is high, the planner sees no difference between these ways
    # and may choose to read the whole table for each device.
    positions = found.cte("positions").prefix_with("MATERIALIZED")
    loaded = query.devices(select(Device).select_from(positions), positions)
    return query.session.scalars(loaded).all()


def sort_matches(query: ListQuery, condition: Condition, limit: int) -> SortedMatches:
    """Sort the devices that an index finds for a condition, unless there are more than ``limit``.

    Only those that match the other filters, too, are returned.
    """
    found = condition.ids.limit(limit + 1).cte("matches").prefix_with("MATERIALIZED")
    matches = select(func.count()).select_from(found).scalar_subquery()
    # Materialized, because the planner might otherwise start from all devices with the status.
    rows = select(*query.position, activity.blocked).join_from(
        activity.device_id.table, found, found.c.id == activity.device_id
    )
    positions = (
        query.with_key(rows)
        .where(
            matches <= limit,
            *query.matches_activity,
            *query.matches(activity, known=condition),
        )
        .cte("positions")
        .prefix_with("MATERIALIZED")
    )
    in_status = select(positions)
    if len(query.blocked) == 1:
        in_status = in_status.where(positions.c.blocked == query.blocked[0])
    totals = select(
        matches.label("matches"),
        select(func.count()).select_from(in_status.subquery()).scalar_subquery().label("listed"),
    ).subquery("totals")
    in_status = in_status.where(*query.order.from_cursor(positions.c))
    first = query.order.sorted(in_status, positions.c).limit(query.limit).subquery("first")
    devices = query.devices(
        select(totals, Device).outerjoin_from(totals, first, true()), first, isouter=True
    )
    rows_found = query.session.execute(devices).all()
    found_devices = [row.Device for row in rows_found if row.Device]
    return SortedMatches(rows_found[0].matches, rows_found[0].listed, found_devices)
