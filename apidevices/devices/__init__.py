"""Devices: read them, store what they report; describe, block, unblock or delete them.

Only this package writes devices and their history. ``activity`` records when they were active.
"""

from apidevices.devices.bulk import Chosen, Matching, block_all, delete_all, unblock_all
from apidevices.devices.changes import MAX_REASON, block, unblock
from apidevices.devices.deletion import delete
from apidevices.devices.description import MAX_NOTE, annotate, describe, rename, set_tags
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
from apidevices.devices.tags import MAX_TAG, MAX_TAGS, tag, tag_all, untag, untag_all

__all__ = [
    "MAX_NOTE",
    "MAX_REASON",
    "MAX_TAG",
    "MAX_TAGS",
    "Chosen",
    "Matching",
    "ReportLimits",
    "ReportNumbers",
    "ReportResult",
    "annotate",
    "block",
    "block_all",
    "by_identifier",
    "count_by_status",
    "delete",
    "delete_all",
    "describe",
    "get",
    "history",
    "history_page",
    "rename",
    "report",
    "set_tags",
    "tag",
    "tag_all",
    "tokens_used",
    "unblock",
    "unblock_all",
    "untag",
    "untag_all",
]
