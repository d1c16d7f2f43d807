"""The daily counts of a device as JSON, for the API, its description and the commands."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from pydantic import Field

from apidevices.devices import ActivityDay
from apidevices.representation import ResponseBody


class DayJson(ResponseBody):
    """The requests of a device on a UTC day."""

    day: date = Field(description="The UTC day.")
    requests: int = Field(description="Number of allowed requests.")
    uploads: int = Field(description="Number of POST requests among them.")
    denied: int = Field(description="Number of requests denied because the device was blocked.")


class ActivityJson(ResponseBody):
    """The requests of a device on the last 90 UTC days. They are counted up to a minute late."""

    days: list[DayJson] = Field(description="Each day up to the present one, oldest first.")


def activity_json(days: Sequence[ActivityDay]) -> dict[str, Any]:
    """Return the JSON representation of the daily counts of a device."""
    rows = [DayJson.model_validate(day) for day in days]
    return ActivityJson(days=rows).model_dump(mode="json")
