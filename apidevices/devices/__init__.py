"""Devices: read them, store what they report; describe, block, unblock or delete them.

Only this package writes devices and their history. ``activity`` records when they were active.
"""

from apidevices.devices.aliases import aliases, remove_alias
from apidevices.devices.archiving import (
    Archive,
    Unarchive,
    archive,
    archive_all,
    archive_rows,
    is_stale,
    unarchive,
    unarchive_all,
)
from apidevices.devices.bulk import (
    Block,
    Change,
    Delete,
    Unblock,
    block_all,
    delete_all,
    unblock_all,
)
from apidevices.devices.changes import MAX_REASON, Until, block, check_until, clean_reason, unblock
from apidevices.devices.chosen import Chosen, Matching, ids_of
from apidevices.devices.days import DAYS, ActivityDay, activity_days, counting_since
from apidevices.devices.deletion import delete
from apidevices.devices.description import MAX_NOTE, annotate, describe, rename, set_tags
from apidevices.devices.ends import end_blocks, end_blocks_if_possible
from apidevices.devices.known_sets import KnownSets
from apidevices.devices.limits import ReportLimits, ReportNumbers
from apidevices.devices.marks import (
    MARKS,
    Mark,
    SeenSet,
    count_suggestions,
    dismiss,
    marks_of,
    suggestions,
)
from apidevices.devices.merged_rows import Move
from apidevices.devices.merging import merge
from apidevices.devices.queries import (
    TokenUse,
    by_identifier,
    by_ids,
    count_by_status,
    get,
    last_denied_token,
    latest_addresses,
    latest_tokens,
    tokens_used,
)
from apidevices.devices.reporting import ReportResult, report
from apidevices.devices.restoring import (
    RestoreArchived,
    RestoreBlock,
    RestoreName,
    RestoreTags,
    States,
)
from apidevices.devices.tags import (
    MAX_TAG,
    MAX_TAGS,
    Tag,
    Untag,
    clean_tags,
    tag,
    tag_all,
    untag,
    untag_all,
)
from apidevices.devices.timeline import (
    CURSOR_PATTERN,
    KINDS,
    HistoryCursor,
    Kind,
    history,
    history_page,
    iterate_history,
)

__all__ = [
    "CURSOR_PATTERN",
    "DAYS",
    "KINDS",
    "MARKS",
    "MAX_NOTE",
    "MAX_REASON",
    "MAX_TAG",
    "MAX_TAGS",
    "ActivityDay",
    "Archive",
    "Block",
    "Change",
    "Chosen",
    "Delete",
    "HistoryCursor",
    "Kind",
    "KnownSets",
    "Mark",
    "Matching",
    "Move",
    "ReportLimits",
    "ReportNumbers",
    "ReportResult",
    "RestoreArchived",
    "RestoreBlock",
    "RestoreName",
    "RestoreTags",
    "SeenSet",
    "States",
    "Tag",
    "TokenUse",
    "Unarchive",
    "Unblock",
    "Untag",
    "Until",
    "activity_days",
    "aliases",
    "annotate",
    "archive",
    "archive_all",
    "archive_rows",
    "block",
    "block_all",
    "by_identifier",
    "by_ids",
    "check_until",
    "clean_reason",
    "clean_tags",
    "count_by_status",
    "count_suggestions",
    "counting_since",
    "delete",
    "delete_all",
    "describe",
    "dismiss",
    "end_blocks",
    "end_blocks_if_possible",
    "get",
    "history",
    "history_page",
    "ids_of",
    "is_stale",
    "iterate_history",
    "last_denied_token",
    "latest_addresses",
    "latest_tokens",
    "marks_of",
    "merge",
    "remove_alias",
    "rename",
    "report",
    "set_tags",
    "suggestions",
    "tag",
    "tag_all",
    "tokens_used",
    "unarchive",
    "unarchive_all",
    "unblock",
    "unblock_all",
    "untag",
    "untag_all",
]
