"""The list of devices: filters, cursor pagination and counts, fast up to a million devices.

The list is sorted by latest activity. Two kinds of index can find a page of it:

- The *activity indexes*, one per status, are sorted like the list. Scanning them for a search text
  is slow if the text is rare, because almost every device must be skipped.
- The *search index* finds all devices whose name or identifier contains the search text, but
  unsorted. Sorting these matches is slow if the text is common.

Whether a search text is rare or common is not known in advance. ``pages.page`` therefore tries
these strategies from top to bottom and stops at the first one that finds the page:

=====================================  ==================  =======================  ==============
strategy (limit)                       used when           why                      maximum cost
=====================================  ==================  =======================  ==============
1. ``in_order``                        no search text      the activity indexes     read 1 page
                                                           have the list's order
2. ``scan`` (``FIRST_SCAN``)           search text         shows cheaply whether    read 150
                                                           the text is common       devices
3. ``sort_matches`` (``COUNT_LIMIT``)  the text does not   finds a rare text        sort 10,000
                                       look common         anywhere in the list,    matches
                                                           with an exact count
4. ``continue_scan`` (``LONG_SCAN``)   step 3 was skipped  a common text usually    read 5,000
                                       or exceeded its     fills the page soon      devices
                                       limit
5. ``sort_matches`` (``SORT_LIMIT``)   step 4 did not      all matches may have     sort 50,000
                                       fill the page       long been inactive       matches
6. ``continue_scan`` (no limit)        step 5 exceeded     with so many matches,    read the
                                       its limit           the page is full before  whole list
                                                           the end of the list
=====================================  ==================  =======================  ==============

A text looks common if at least ``COMMON_MATCHES`` of the devices in step 2 contain it and a sample
of 100,000 devices confirms it (``counts.is_common``).

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
