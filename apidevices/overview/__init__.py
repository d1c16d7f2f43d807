"""The overview: how many devices are active, new, gone or blocked, their versions and uploads.

Each figure has filters of the list with which the list shows the devices that it counts.
"""

from apidevices.overview.counting import (
    PERIODS,
    SPREAD_DAYS,
    Counted,
    count,
    filters,
    latest,
    rest,
    snapshot,
)
from apidevices.overview.figures import Group, Overview, Period, Rest, UploadDay, Version

__all__ = [
    "PERIODS",
    "SPREAD_DAYS",
    "Counted",
    "Group",
    "Overview",
    "Period",
    "Rest",
    "UploadDay",
    "Version",
    "count",
    "filters",
    "latest",
    "rest",
    "snapshot",
]
