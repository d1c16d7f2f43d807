"""Record actions: one row per administrative action, written in the action's transaction."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from apidevices.models import AuditEntry

COMMAND_LINE = "the command line"
"""The actor of actions that ``flask apidevices`` commands perform."""

END_OF_BLOCK = "the end of the block"
"""The actor where a block has ended by itself."""


STALE_RULE = "the stale rule"
"""The actor where devices were archived because they had not been active."""


class Action(StrEnum):
    """The recorded actions of administrators. Applications can record their own."""

    DEVICE_RENAMED = "device.renamed"
    DEVICE_ANNOTATED = "device.annotated"
    DEVICE_TAGGED = "device.tagged"
    DEVICE_UNTAGGED = "device.untagged"
    DEVICE_BLOCKED = "device.blocked"
    DEVICE_UNBLOCKED = "device.unblocked"
    DEVICE_MERGED = "device.merged"
    ALIAS_REMOVED = "device.alias_removed"
    DEVICE_ARCHIVED = "device.archived"
    DEVICE_UNARCHIVED = "device.unarchived"
    DEVICE_DELETED = "device.deleted"
    MARK_DISMISSED = "device.mark_dismissed"
    HISTORY_EXPORTED = "device.history_exported"
    # All devices that match a filter, with the filter and their number.
    DEVICES_TAGGED = "devices.tagged"
    DEVICES_UNTAGGED = "devices.untagged"
    DEVICES_BLOCKED = "devices.blocked"
    DEVICES_UNBLOCKED = "devices.unblocked"
    DEVICES_ARCHIVED = "devices.archived"
    DEVICES_UNARCHIVED = "devices.unarchived"
    DEVICES_DELETED = "devices.deleted"
    DEVICES_EXPORTED = "devices.exported"
    VIEW_SAVED = "view.saved"
    VIEW_DELETED = "view.deleted"
    TOKEN_CREATED = "token.created"  # noqa: S105 - the name of an action
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - the name of an action
    LOG_EXPORTED = "log.exported"


def record(
    session: Session, action: StrEnum, subject: str, *, actor: str, at: datetime, **details: Any
) -> AuditEntry:
    """Add an entry within the transaction of ``session``; ``subject`` is like ``"device:12"``."""
    entry = AuditEntry(at=at, actor=actor, action=action.value, subject=subject, details=details)
    session.add(entry)
    return entry
