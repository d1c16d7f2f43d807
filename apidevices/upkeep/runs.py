"""When the tasks have run in the background."""

from datetime import datetime

from sqlalchemy.orm import Session

from apidevices import limits

HOURLY = limits.Limit("housekeeping", 1, limits.HOUR)
"""Each run in the background counts for this limit, so that one process runs the tasks."""

SERVER = "server"
"""The subject of the limit."""


def last_run(session: Session) -> datetime | None:
    """Return when a run in the background last began; None if none has."""
    full_at = limits.full_at(session, HOURLY, SERVER)
    return None if full_at is None else full_at - limits.HOUR
