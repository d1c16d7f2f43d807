"""Count the devices that match the filters, as far as that is fast."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select

from apidevices.listing import limits, search
from apidevices.listing.query import ListQuery, activity
from apidevices.models import Device


class Count(NamedTuple):
    """How many devices match the filters: exactly, or at least."""

    number: int
    exact: bool

    def __str__(self) -> str:
        return f"{self.number:,}" if self.exact else f"{self.number:,}+"


def count_status(query: ListQuery) -> Count:
    """Count the devices that match a query without a search text."""
    number = query.count_rows(select(activity.device_id).where(query.matches_status))
    return Count(min(number, limits.COUNT_LIMIT), exact=number <= limits.COUNT_LIMIT)


def is_common(query: ListQuery) -> bool:
    """Return whether more than ``COUNT_LIMIT`` devices in a sample of ten times as many match."""
    if query.dialect == "sqlite":
        return False  # its search index counts the matches faster than this
    return (
        _count_in_sample(query, limits.FIRST_SAMPLE) >= limits.COMMON_MATCHES
        and _count_in_sample(query, 10 * limits.COUNT_LIMIT) > limits.COUNT_LIMIT
    )


def _count_in_sample(query: ListQuery, size: int) -> int:
    latest = select(activity.search_key).where(~activity.blocked)
    sample = query.ordered(latest, activity).limit(size).subquery()
    matches_text = search.contains(query.dialect, query.text, sample.c.search_key)
    return query.count_rows(select(sample).where(matches_text))


def count_common(query: ListQuery, found: Sequence[Device]) -> Count:
    """Count the devices that match a search text found in more than ``COUNT_LIMIT`` devices.

    Args:
        query: The query that found the page.
        found: The devices of the page, and one more if there is a next page.
    """
    if len(query.blocked) > 1:
        return Count(limits.COUNT_LIMIT, exact=False)
    if query.blocked_count > limits.COUNT_LIMIT:
        if len(found) > limits.PAGE_SIZE or query.cursor is not None:
            return Count(limits.PAGE_SIZE, exact=False)
        return Count(len(found), exact=True)  # the search has reached the end of the list
    blocked = select(activity.device_id).where(activity.blocked, query.matches_text(activity))
    number = query.count_rows(blocked)
    if query.blocked[0]:
        return Count(number, exact=True)
    return Count(max(limits.COUNT_LIMIT - number, 0), exact=False)
