"""The current time. Each request or command reads it once and passes it on."""

from datetime import UTC, datetime, timedelta

MAX_AHEAD = timedelta(days=1)
"""How far a stored time may be ahead of the database's clock. A later time comes from a host whose
clock was wrong, and is repaired."""


def now() -> datetime:
    """Return the current time as a timezone-aware datetime in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime | None) -> str | None:
    """Format a time for JSON: RFC 3339 in UTC with microseconds and ``Z``."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
