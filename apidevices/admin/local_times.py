"""Times that people enter in their own time zone."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from apidevices.errors import InvalidInput

_OFFSET = re.compile(r"([+-])([01][0-9]|2[0-3]):([0-5][0-9])")


def parse(field: str, text: str | None, zone: str | None) -> datetime | None:
    """Return the time in a ``datetime-local`` field, or None if the field is empty.

    Args:
        field: The name of the field.
        text: Its value, without a time zone.
        zone: The time zone of the person: a name, such as ``Europe/Berlin``, or an offset, such as
            ``+02:00``. Anything else is UTC.

    Raises:
        InvalidInput: The value is not a time.
    """
    if not (text or "").strip():
        return None
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        raise InvalidInput(field, "Enter a date and a time.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_zone(zone or ""))
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(field, "Enter a date and a time.") from None


def _zone(name: str) -> tzinfo:
    if found := _OFFSET.fullmatch(name):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-offset if found[1] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # unknown, or this host has no time zones
        return UTC
