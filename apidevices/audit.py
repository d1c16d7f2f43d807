"""Who did what: one row for each thing that a person did, in the same transaction."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from apidevices.models import AuditEntry

COMMAND_LINE = "command line"
"""The actor of what is done with ``flask apidevices``."""


class Action(StrEnum):
    """What is recorded of devices and tokens; an application may record actions of its own."""

    DEVICE_RENAMED = "device.renamed"
    DEVICE_BLOCKED = "device.blocked"
    DEVICE_UNBLOCKED = "device.unblocked"
    TOKEN_CREATED = "token.created"  # noqa: S105 - the name of an action
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - the name of an action


def record(
    session: Session, action: StrEnum, subject: str, *, actor: str, at: datetime, **details: Any
) -> None:
    """Add one entry to the transaction of ``session``; ``subject`` is ``"device:12"`` or alike."""
    session.add(
        AuditEntry(at=at, actor=actor, action=action.value, subject=subject, details=details)
    )
