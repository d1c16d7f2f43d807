"""How much the list shows, counts and looks through; measured with a million devices."""

PAGE_SIZE = 50
"""Devices on a page of the list, and entries on a page of a history."""

COUNT_LIMIT = 10_000
"""Counting stops here: an administrator needs "many" at once rather than an exact number late."""

FIRST_SCAN = 150
"""Devices of the list that are searched for a text before the text index is used."""

COMMON_MATCHES = 15
"""This many matches in the first scan suggest that the text index would name most devices."""

LONG_SCAN = 5_000
"""Devices of the list that are searched before more than ``COUNT_LIMIT`` matches are sorted."""

SORT_LIMIT = 50_000
"""Matches that are sorted at most: scanning a list of a million takes no longer."""
