"""The list of devices: filters, pages and counts, as fast at a million devices as at a hundred.

Two kinds of index help to find a page. The *activity indexes*, one for each status, are in the
order of the list. The *text index* names all devices with a text in their name or identifier, but
in no order. Following the list is slow for a rare text; sorting what the text index names is slow
for a common one. ``pages.page`` therefore tries these strategies in turn, until one settles it:

==================================  ====================  ============================  =========
strategy (its limit)                when                  why                           cost
==================================  ====================  ============================  =========
``in_order``                        there is no text      the activity indexes have     1 page
                                                          this order
``scan`` (``FIRST_SCAN``)           a text: always first  shows whether the text is     150
                                                          common                        devices
``sort_matches`` (``COUNT_LIMIT``)  it isn't common       finds a rare text anywhere,   10,000
                                                          and gives an exact count      matches
``scan_on`` (``LONG_SCAN``)         it has more matches   a common text soon fills the  5,000
                                                          page                          devices
``sort_matches`` (``SORT_LIMIT``)   page still not full   its devices may all have      50,000
                                                          been inactive for long        matches
``scan_on`` (no limit)              it has more matches   with so many, the page fills  the list,
                                                          well before the end           at worst
==================================  ====================  ============================  =========

The strategies are in ``strategies.py``, the limits, measured with a million devices, in
``limits.py``.
"""

from apidevices.listing.counts import Count
from apidevices.listing.cursor import Cursor
from apidevices.listing.filters import Filters, Status
from apidevices.listing.limits import PAGE_SIZE
from apidevices.listing.pages import Page, every, page

__all__ = [
    "PAGE_SIZE",
    "Count",
    "Cursor",
    "Filters",
    "Page",
    "Status",
    "every",
    "page",
]
