"""Devices: read them, store what they report, and rename, block or unblock them.

Only this package writes devices and their history. ``activity`` records when they were active.
"""

from apidevices.devices.changes import MAX_REASON, block, block_all, rename, unblock
from apidevices.devices.limits import ReportLimits, ReportNumbers
from apidevices.devices.queries import (
    by_identifier,
    count_by_status,
    get,
    history,
    history_page,
    tokens_used,
)
from apidevices.devices.reporting import ReportResult, report

__all__ = [
    "MAX_REASON",
    "ReportLimits",
    "ReportNumbers",
    "ReportResult",
    "block",
    "block_all",
    "by_identifier",
    "count_by_status",
    "get",
    "history",
    "history_page",
    "rename",
    "report",
    "tokens_used",
    "unblock",
]
