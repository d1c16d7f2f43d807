"""The list of devices: filters, cursor pagination and counts, fast up to a million devices.

The list is sorted by latest activity. Two kinds of index can find a page of it:

- The *activity indexes*, one per status, are sorted like the list and contain the search keys.
  Reading them for a search text stops as soon as the page is full, but with a rare text that is at
  the end of the list.
- The *search index* finds all devices whose name or identifier contains the search text, but
  unsorted. Sorting these matches is slow if the text is common.

Whether a search text is rare or common is not known in advance. ``pages.page`` therefore tries
these strategies from top to bottom and stops at the first one that finds the page:

================================  ====================  =========================  =================
strategy (limit)                  used when             why                        maximum cost
================================  ====================  =========================  =================
1. ``scan``                       no search text        the activity indexes have  read 1 page
                                                        the list's order
2. ``sort_matches``               the text does not     finds a rare text          sort 10,000
   (``COUNT_LIMIT``)              look common           anywhere in the list,      matches
                                                        with an exact count
3. ``first_scan``                 step 2 was skipped    a common text usually      read 20,000
   (``FIRST_SCAN``)               or exceeded its       fills the page soon        devices
                                  limit
4. ``sort_matches``               step 3 did not fill   all matches may have long  sort 25,000
   (``SORT_LIMIT``)               the page              been inactive              matches
5. ``scan``                       step 4 exceeded its   no table is read, only     read the list:
                                  limit                 the activity indexes       50 ns per device
================================  ====================  =========================  =================

On PostgreSQL, a text looks common if at least ``COMMON_MATCHES`` of the ``FIRST_SAMPLE`` most
recently active devices contain it and a sample of 100,000 devices confirms it
(``counts.is_common``). SQLite's search index finds out faster whether too many devices match.

``strategies.py`` implements the strategies, ``pages.py`` chooses between them, and ``limits.py``
defines their limits, which were measured with a million devices.
"""

from apidevices.listing.counts import Count
from apidevices.listing.cursor import Cursor
from apidevices.listing.filters import Filters, Status
from apidevices.listing.limits import PAGE_SIZE
from apidevices.listing.pages import Page, find_all, page

__all__ = [
    "PAGE_SIZE",
    "Count",
    "Cursor",
    "Filters",
    "Page",
    "Status",
    "find_all",
    "page",
]
