"""What a device did on each of the last days: daily counts."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select

from apidevices.database import Database
from apidevices.models import DeviceDay, DeviceDenials, FleetDay

DAYS = 90
"""How many days are shown, today included."""


class ActivityDay(NamedTuple):
    """The requests of a device on a UTC day; ``uploads`` are among the allowed ``requests``."""

    day: date
    requests: int
    uploads: int
    denied: int


def activity_days(db: Database, device_id: int, now: datetime) -> Sequence[ActivityDay]:
    """Return the last 90 UTC days of a device, oldest first, including those without requests.

    Requests are counted up to a minute late.
    """
    today = now.astimezone(UTC).date()
    days = [today - timedelta(days=ago) for ago in reversed(range(DAYS))]
    counted, denials = DeviceDay, DeviceDenials
    with db.read() as session:
        requests = select(counted.day, counted.requests, counted.uploads).where(
            counted.device_id == device_id, counted.day >= days[0]
        )
        allowed = {day: (number, uploads) for day, number, uploads in session.execute(requests)}
        groups = select(denials.day, denials.denied).where(
            denials.device_id == device_id, denials.day >= days[0]
        )
        denied = {day: number for day, number in session.execute(groups)}
    return [ActivityDay(day, *allowed.get(day, (0, 0)), denied.get(day, 0)) for day in days]


def counting_since(db: Database) -> date | None:
    """Return the first UTC day on which requests of any device were counted."""
    with db.read() as session:
        return session.scalar(select(func.min(FleetDay.day)))
