"""What the made-up fleets are like: see ``stories``."""

from typing import NamedTuple


class FleetKind(NamedTuple):
    """What a fleet is like.

    Attributes:
        name: Its name.
        models: The number of models.
        skew: How uneven their popularity is: the exponent of Zipf's law.
        site: How many devices are at one address; 1 for phones.
        tokens: The number of tokens that the devices share.
        interval: The range of minutes between two calls.
        hours: When the devices are on, in hours of the day.
        season: The fraction of devices that fall silent in one evening.
    """

    name: str
    models: int
    skew: float
    site: int
    tokens: int
    interval: tuple[float, float]
    hours: tuple[int, int] = (0, 24)
    season: float = 0.0


KINDS = (
    FleetKind("phones", 800, 1.0, 1, 1, (20, 1440)),
    FleetKind("tablets in stores", 5, 0.5, 33, 4, (10, 10), (8, 20)),
    FleetKind("scanners at events", 20, 0.7, 12, 8, (5, 5), (0, 24), 0.3),
)
