"""Count the devices that match the filters, as far as that is fast."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select

from apidevices.listing import limits, search
from apidevices.listing.conditions import Condition, TextCondition
from apidevices.listing.order import activity
from apidevices.listing.query import ListQuery
from apidevices.models import Device


class Count(NamedTuple):
    """How many devices match the filters: exactly, or at least."""

    number: int
    exact: bool

    def __str__(self) -> str:
        return f"{self.number:,}" if self.exact else f"{self.number:,}+"


def count_status(query: ListQuery, found: Sequence[Device]) -> Count:
    """Count the devices that match a query with no filters but on the status and the activity.

    Args:
        query: The query that found the page.
        found: The devices of the page, and one more if there is a next page.
    """
    is_all = len(found) <= limits.PAGE_SIZE and query.cursor is None
    return Count(len(found), exact=True) if is_all else count_ranges(query)


def count_ranges(query: ListQuery) -> Count:
    """Count the devices that match a query like that of ``count_status``, without finding any."""
    number = query.count_ranges()
    return Count(min(number, limits.COUNT_LIMIT), exact=number <= limits.COUNT_LIMIT)


def is_common(query: ListQuery, condition: Condition) -> bool:
    """Return whether a condition is not worth a look into its index, because many fulfill it.

    A search text is common if more than ``COUNT_LIMIT`` devices in a sample of ten times as many
    contain it.
    """
    if query.dialect == "sqlite" or not isinstance(condition, TextCondition):
        return False  # the index counts the matches faster than this
    return (
        _count_in_sample(query, limits.FIRST_SAMPLE) >= limits.COMMON_MATCHES
        and _count_in_sample(query, 10 * limits.COUNT_LIMIT) > limits.COUNT_LIMIT
    )


def _count_in_sample(query: ListQuery, size: int, blocked: bool = False) -> int:
    listed = query.scope.with_status(activity, blocked)
    latest = select(activity.search_key).where(listed)
    first = latest.order_by(activity.last_activity_at.desc(), activity.device_id.desc())
    sample = first.limit(size).subquery()
    matches_text = search.contains(query.dialect, query.text, sample.c.search_key)
    return query.count_rows(select(sample).where(matches_text))


def count_common(query: ListQuery, found: Sequence[Device]) -> Count:
    """Count the devices that match filters of which each matches more than ``COUNT_LIMIT`` devices.

    Args:
        query: The query that found the page.
        found: The devices of the page, and one more if there is a next page.
    """
    if len(found) <= limits.PAGE_SIZE and query.cursor is None:
        return Count(len(found), exact=True)  # the search has reached the end of the list
    before = query.cursor.number if query.cursor else 0
    shown = Count(max(limits.PAGE_SIZE, before), exact=False)
    if query.activity_conditions or len(query.conditions) > 1:
        return shown
    [condition] = query.conditions
    if len(query.blocked) > 1 and condition.within_list:
        return Count(limits.COUNT_LIMIT, exact=False)
    if len(query.blocked) > 1 or query.text:
        counted = _count_single(query, condition)
        return counted if counted.exact else max(shown, counted)
    return shown


def _count_single(query: ListQuery, condition: Condition) -> Count:
    """Count the devices of a list that fulfill a condition, like many devices of all lists."""
    number = query.count_matches(listed=True)
    if number is not None:
        return Count(number, exact=True)
    others = query.count_matches(listed=False)
    if others is not None:
        return Count(max(limits.COUNT_LIMIT - others, 0), exact=False)
    if isinstance(condition, TextCondition):
        number = _count_in_sample(query, 10 * limits.COUNT_LIMIT, query.blocked[0])
    else:
        sample = condition.ids.limit(2 * limits.COUNT_LIMIT).subquery()
        in_list = select(activity.device_id).join(sample, sample.c.id == activity.device_id)
        number = query.count_rows(in_list.where(query.scope.in_activity(activity)))
    return Count(min(number, limits.COUNT_LIMIT), exact=False)
