"""Devices: read them, store what they report; rename, block, unblock or delete them.

Only this package writes devices and their history. ``activity`` records when they were active.
"""

from apidevices.devices.bulk import Chosen, Matching, block_all, delete_all, unblock_all
from apidevices.devices.changes import MAX_REASON, block, rename, unblock
from apidevices.devices.deletion import delete
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
    "Chosen",
    "Matching",
    "ReportLimits",
    "ReportNumbers",
    "ReportResult",
    "block",
    "block_all",
    "by_identifier",
    "count_by_status",
    "delete",
    "delete_all",
    "get",
    "history",
    "history_page",
    "rename",
    "report",
    "tokens_used",
    "unblock",
    "unblock_all",
]
