"""The list of devices: filters, cursor pagination and counts, fast up to a million devices.

These indexes find a page of it:

- The *activity indexes*, one per status and one for archived devices, are sorted by latest activity
  and contain the search keys, the details and the latest upload. Reading them for a search text
  stops as soon as the page is full, but with a rare text that is at the end of the list. The one
  for archived devices starts with the status, so that each status is a range of it.
- The *key indexes* are sorted by name and by registration, archived devices apart from all others,
  and contain the details.
- The *search index* finds all devices whose name or identifier contains the search text, but
  unsorted. Sorting these matches is slow if the text is common.

There are three kinds of filters besides the search text and the status:

- All filters for details together are one condition on ``details_id``: each combination of details
  is stored once (``details.py``).
- Filters on the activity, such as ``inactive_days``, are conditions on ranges of the activity
  indexes. In other orders, all of them and the status are one condition on the device, because
  PostgreSQL can't estimate how many devices fulfill several.
- Others, such as ``token``, are treated like a search text: each has an index that finds all
  devices that match it, unsorted, and a condition on a single device (``conditions.py``). The
  strategies use the index of one of them, and check the conditions of the others.

Whether a search text or a filter is rare or common is not known in advance. ``pages.page``
therefore tries these strategies from top to bottom and stops at the first one that finds the page:

================================  ====================  =========================  =================
strategy (limit)                  used when             why                        maximum cost
================================  ====================  =========================  =================
1. ``scan``                       only the status and   the indexes have the       read 1 page of
                                  the activity          list's order               matches
2. ``sort_matches``               the text does not     finds a rare text or       sort 10,000
   (``COUNT_LIMIT``)              look common           filter anywhere in the     matches
                                                        list, with an exact count
3. ``first_scan``                 step 2 was skipped    a common text usually      read 20,000
   (``FIRST_SCAN``)               or exceeded its       fills the page soon        devices
                                  limit
4. ``sort_matches``               step 3 did not fill   all matches may have long  sort 25,000
   (``SORT_LIMIT``)               the page              been inactive              matches
5. ``scan``                       step 4 exceeded its   no table is read, only     read the list:
                                  limit, with only a    the activity indexes       50 ns per device
                                  text or details
6. ``sort_all``                   step 4 exceeded its   the indexes of all         about 1 µs per
                                  limit, with filters   filters together           match of a filter
================================  ====================  =========================  =================

On PostgreSQL, a text looks common if at least ``COMMON_MATCHES`` of the ``FIRST_SAMPLE`` most
recently active devices contain it and a sample of 100,000 devices confirms it
(``counts.is_common``). SQLite's search index finds out faster whether too many devices match.

``strategies.py`` implements the strategies, ``pages.py`` chooses between them, and ``limits.py``
defines their limits, which were measured with a million devices.
"""

from apidevices.listing.counts import Count
from apidevices.listing.cursor import PATTERN as CURSOR_PATTERN
from apidevices.listing.cursor import SORTS, Cursor, Sort, sort_or_default
from apidevices.listing.filters import NEEDS_APPLICATION, Filters, Status
from apidevices.listing.limits import PAGE_SIZE
from apidevices.listing.pages import (
    Page,
    archived_count,
    count,
    iterate,
    matching_ids,
    page,
    status_counts,
)
from apidevices.listing.totals import totals, totals_by_details
from apidevices.listing.values import Choice, Choices, choices, finish_collecting

__all__ = [
    "CURSOR_PATTERN",
    "NEEDS_APPLICATION",
    "PAGE_SIZE",
    "SORTS",
    "Choice",
    "Choices",
    "Count",
    "Cursor",
    "Filters",
    "Page",
    "Sort",
    "Status",
    "archived_count",
    "choices",
    "count",
    "finish_collecting",
    "iterate",
    "matching_ids",
    "page",
    "sort_or_default",
    "status_counts",
    "totals",
    "totals_by_details",
]
