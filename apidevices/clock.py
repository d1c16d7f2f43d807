"""The current time. Each request or command reads it once and passes it on."""

import re
from datetime import UTC, datetime, timedelta

MAX_AHEAD = timedelta(days=1)
"""How far a stored time may be ahead of the database's clock. A later time comes from a host whose
clock was wrong, and is repaired."""

MAX_SKEW = timedelta(seconds=5)
"""How far the clock of a host may be ahead of the database's clock before it is not trusted to end
the blocks of all hosts."""

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def now() -> datetime:
    """Return the current time as a timezone-aware datetime in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime | None) -> str | None:
    """Format a time for JSON: RFC 3339 in UTC with microseconds and ``Z``."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """Parse an RFC 3339 time, and return it in UTC. Digits beyond microseconds are cut off.

    Raises:
        ValueError: The text is not such a time, or has no time zone.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError("must be a time with a time zone, such as 2030-05-17T12:00:00Z")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a time between the years 1 and 9999") from None
