"""The picture of a device's activity: a bar for each of the last days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from apidevices.devices import ActivityDay

ABOVE = 44.0
"""Height of the tallest bar of allowed requests, which rises from the base line."""

BELOW = 16.0
"""Height of the tallest bar of denied requests, which hangs from the base line."""

STEP = 6.0
"""Width of a day."""

GAP = 2.0
"""Width between two bars: a fixed part of a day, because the picture is stretched."""

SHORTEST = 3.0
"""Height of a bar for a single request."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A day with requests. All lengths are in the units of the picture."""

    day: ActivityDay
    x: float
    requests: float
    uploads: float
    denied: float


@dataclass(frozen=True, slots=True)
class Chart:
    """The picture, and what it shows in words and numbers.

    ``since`` is the day on which counting began, if it is one of those shown.
    """

    days: Sequence[ActivityDay]
    bars: Sequence[Bar]
    since: date | None
    width: float
    above: float = ABOVE
    height: float = ABOVE + BELOW + 1
    bar_width: float = STEP - GAP

    @property
    def requests(self) -> int:
        """The number of allowed requests on all days."""
        return sum(day.requests for day in self.days)

    @property
    def uploads(self) -> int:
        """The number of uploads on all days."""
        return sum(day.uploads for day in self.days)

    @property
    def denied(self) -> int:
        """The number of denied requests on all days."""
        return sum(day.denied for day in self.days)

    @property
    def most(self) -> int:
        """The largest number of allowed requests on a day."""
        return max(day.requests for day in self.days)


def activity_chart(days: Sequence[ActivityDay], since: date | None) -> Chart:
    """Return the picture of these days.

    Args:
        days: The days, oldest first, without gaps.
        since: The day on which counting began; None if nothing has been counted yet.
    """
    most = max(day.requests for day in days)
    most_denied = max(day.denied for day in days)
    bars = [
        Bar(
            day,
            x=index * STEP + GAP / 2,
            requests=_length(day.requests, most, ABOVE),
            uploads=_length(day.uploads, most, ABOVE),
            denied=_length(day.denied, most_denied, BELOW),
        )
        for index, day in enumerate(days)
        if day.requests or day.denied
    ]
    is_shown = since is not None and since > days[0].day
    return Chart(days, bars, since if is_shown else None, width=len(days) * STEP)


def _length(number: int, most: int, longest: float) -> float:
    return round(max(SHORTEST, number / most * longest), 1) if number else 0.0
