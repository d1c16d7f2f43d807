"""Cursors for paginating the list."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

from apidevices.errors import InvalidInput
from apidevices.models import MAX_ID, Device

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in the list, and which of the two adjacent pages to show.

    ``older`` is the page that follows the device at this position, ``newer`` the page before it.
    The text form is ``<direction>-<microseconds since 1970>-<device id>``.
    """

    direction: Literal["older", "newer"]
    moment: datetime
    device_id: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text form of a cursor.

        Raises:
            InvalidInput: The text is not a cursor.
        """
        try:
            direction, microseconds, device_id = text.split("-")
            moment = _EPOCH + timedelta(microseconds=int(microseconds))
            if direction not in ("older", "newer") or not 0 <= int(device_id) <= MAX_ID:
                raise ValueError(text)
        except (ValueError, OverflowError):
            raise InvalidInput(
                "cursor", "Invalid cursor. Use one from the links between pages."
            ) from None
        return cls("older" if direction == "older" else "newer", moment, int(device_id))

    @classmethod
    def at(cls, direction: Literal["older", "newer"], device: Device) -> Self:
        """Return the cursor for the page before or after a device."""
        return cls(direction, device.activity.last_activity_at, device.id)

    def __str__(self) -> str:
        microseconds = (self.moment - _EPOCH) // timedelta(microseconds=1)
        return f"{self.direction}-{microseconds}-{self.device_id}"
