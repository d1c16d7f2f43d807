"""Limits on what the list shows, counts and searches; measured with a million devices."""

PAGE_SIZE = 50
"""Devices per page of the list, and entries per page of a device's history."""

COUNT_LIMIT = 10_000
"""Counts stop here: administrators need a quick "10,000+" rather than a slow exact number."""

FIRST_SCAN = 20_000
"""Devices to read in order before sorting more than ``COUNT_LIMIT`` matches."""

SORT_LIMIT = 25_000
"""Maximum matches to sort. With more, reading a list of a million devices takes no longer."""

FIRST_SAMPLE = 1_000
"""Devices to look at before a larger sample, to see whether a search text may be common."""

COMMON_MATCHES = 80
"""Matches in the first sample that suggest that the text is common."""

MAX_COMBINATIONS = 1_000
"""Combinations of details that a query names one by one, rather than looking each of them up."""

MAX_CHOICES = 1_000
"""Maximum number of values to choose from per filter: those that most devices have."""

CHOICES_PATIENCE = 0.05
"""Seconds that a page waits for new choices. After that, it shows the previous ones."""

CHOICES_REST = 50
"""Choices are kept for this many times as long as it took to collect them."""
