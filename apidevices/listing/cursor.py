"""Cursors for paginating the list, and the orders that it can have."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Self, cast, get_args

from apidevices.errors import InvalidInput
from apidevices.listing import search
from apidevices.models import MAX_ID, Device

Sort = Literal["activity", "-activity", "name", "-name", "first_seen", "-first_seen"]
"""The order of the list. With a hyphen, the other way round.

``activity`` and ``first_seen`` start with the latest device, ``name`` with the letter A. The id
breaks ties, in the same direction.
"""

SORTS = (
    "The order: latest activity first, names from A to Z, or latest registration first. With '-' in"
    " front, the other way round."
)
"""What the orders of the list are, for descriptions."""

Direction = Literal["older", "newer"]

PATTERN = (
    r"^(older|newer)\.-?(activity|first_seen|name)\.[1-9][0-9]{0,9}\.[0-9]{1,19}\.[0-9A-Za-z_-]*$"
)
"""The regular expression that the text of a cursor matches."""

_MAX_TEXT = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def sort_or_default(text: str | None) -> Sort:
    """Return the order that a text names, or else the default, ``activity``."""
    return cast(Sort, text) if text in get_args(Sort) else "activity"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in the list, and which of the two adjacent pages to show.

    ``older`` is the page that follows the device at this position, ``newer`` the page before it.
    These are their names in every order.

    Args:
        direction: Which of the two pages to show.
        sort: The order of the list.
        key: What the device is sorted by: its time, or its folded name.
        device_id: The id of the device.
        number: The number of the device in the list, starting with 1, when the cursor was made.

    The text form is ``<direction>.<sort>.<number>.<device id>.<key>``. A time is in microseconds
    since 1970, a name in base64url without padding.
    """

    direction: Direction
    sort: Sort
    key: datetime | str
    device_id: int
    number: int = 1

    @classmethod
    def parse(cls, text: str, sort: Sort = "activity") -> Self:
        """Parse the text form of a cursor for a list in a certain order.

        Raises:
            InvalidInput: The text is not a cursor, or one for another order.
        """
        try:
            direction, order, number, device_id, key = text[:_MAX_TEXT].split(".")
            if direction not in get_args(Direction) or order != sort:
                raise ValueError(text)
            if not 1 <= int(number) <= MAX_ID or not 0 <= int(device_id) <= MAX_ID:
                raise ValueError(text)
            position = _decoded(key) if sort.endswith("name") else _moment(key)
        except (ValueError, OverflowError):
            raise InvalidInput(
                "cursor", "Invalid cursor. Use one from the links between pages."
            ) from None
        return cls(cast(Direction, direction), sort, position, int(device_id), int(number))

    @classmethod
    def at(cls, direction: Direction, sort: Sort, device: Device, number: int) -> Self:
        """Return the cursor for the page before or after a device, which has this number."""
        key: datetime | str
        match sort.removeprefix("-"):
            case "name":
                key = search.sort_key(device.search_key)
            case "first_seen":
                key = device.first_seen_at
            case _:
                key = device.activity.last_activity_at
        return cls(direction, sort, key, device.id, number)

    def __str__(self) -> str:
        if isinstance(self.key, str):
            key = base64.urlsafe_b64encode(self.key.encode()).decode().rstrip("=")
        else:
            key = str((self.key - _EPOCH) // timedelta(microseconds=1))
        return f"{self.direction}.{self.sort}.{self.number}.{self.device_id}.{key}"


def _moment(key: str) -> datetime:
    return _EPOCH + timedelta(microseconds=int(key))


def _decoded(key: str) -> str:
    """Decode a name.

    Raises:
        ValueError: It is not base64url of UTF-8, or contains a null character, which PostgreSQL
            rejects.
    """
    try:
        data = base64.b64decode(key + "=" * (-len(key) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    name = data.decode()
    if "\0" in name:
        raise ValueError(key)
    return name
