"""Limits on what the list shows, counts and searches; measured with a million devices."""

PAGE_SIZE = 50
"""Devices per page of the list, and entries per page of a device's history."""

COUNT_LIMIT = 10_000
"""Counts stop here: administrators need a quick "10,000+" rather than a slow exact number."""

FIRST_SCAN = 150
"""Devices to scan for the search text before using the search index."""

COMMON_MATCHES = 15
"""Matches in the first scan that suggest that the text is too common for the search index."""

LONG_SCAN = 5_000
"""Devices to scan for the search text before sorting more than ``COUNT_LIMIT`` matches."""

SORT_LIMIT = 50_000
"""Maximum matches to sort. With more, scanning a list of a million devices takes no longer."""
