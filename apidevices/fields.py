"""Types of fields in requests, shared by the management API and the filters of the list."""

from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field

from apidevices.clock import parse_rfc3339

MAX_JSON_INTEGER = 2**53 - 1
"""Largest row id the API accepts: many JSON parsers round larger integers (RFC 8259, section 6)."""


MAX_DAYS = 36_500
"""Largest number of days, so that every time is one that the databases can store."""


def _integer(number: object) -> object:
    """Convert floats such as 7.0 to integers, because JSON does not distinguish them."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _time(text: object) -> object:
    return parse_rfc3339(text) if isinstance(text, str) else text


RowId = Annotated[int, Field(ge=0, le=MAX_JSON_INTEGER), BeforeValidator(_integer)]
"""The id of a row."""

Days = Annotated[int, Field(ge=1, le=MAX_DAYS), BeforeValidator(_integer)]
"""A number of days."""

Moment = Annotated[AwareDatetime, BeforeValidator(_time)]
"""A time: RFC 3339 with a time zone."""

DeviceTags = Annotated[
    list[Annotated[str, Field(max_length=50, pattern="^[^,]*$")]], Field(max_length=50)
]
"""Tags of a device."""
