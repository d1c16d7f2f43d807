"""The audit log: one row per administrative action, written in the action's transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.models import ApiToken, AuditEntry, Device

COMMAND_LINE = "the command line"
"""The actor of actions that ``flask apidevices`` commands perform."""

END_OF_BLOCK = "the end of the block"
"""The actor where a block has ended by itself."""


class Action(StrEnum):
    """The recorded actions of administrators. Applications can record their own."""

    DEVICE_RENAMED = "device.renamed"
    DEVICE_ANNOTATED = "device.annotated"
    DEVICE_TAGGED = "device.tagged"
    DEVICE_UNTAGGED = "device.untagged"
    DEVICE_BLOCKED = "device.blocked"
    DEVICE_UNBLOCKED = "device.unblocked"
    DEVICE_DELETED = "device.deleted"
    # All devices that match a filter, with the filter and their number.
    DEVICES_TAGGED = "devices.tagged"
    DEVICES_UNTAGGED = "devices.untagged"
    DEVICES_BLOCKED = "devices.blocked"
    DEVICES_UNBLOCKED = "devices.unblocked"
    DEVICES_DELETED = "devices.deleted"
    DEVICES_EXPORTED = "devices.exported"
    VIEW_SAVED = "view.saved"
    VIEW_DELETED = "view.deleted"
    TOKEN_CREATED = "token.created"  # noqa: S105 - the name of an action
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - the name of an action


def record(
    session: Session, action: StrEnum, subject: str, *, actor: str, at: datetime, **details: Any
) -> None:
    """Add an entry within the transaction of ``session``; ``subject`` is like ``"device:12"``."""
    session.add(
        AuditEntry(at=at, actor=actor, action=action.value, subject=subject, details=details)
    )


def latest(db: Database, limit: int) -> Sequence[AuditEntry]:
    """Return the latest entries, newest first."""
    with db.read() as session:
        return session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)).all()


def names(db: Database, entries: Iterable[AuditEntry]) -> dict[str, str]:
    """Return the subjects of entries with their names, as far as the names are known.

    Devices and tokens have their present name, saved views the name in their newest entry.
    Accounts have the address in it: only the application knows their table. Causes a query per
    device or token.
    """
    found: dict[str, str] = {}
    with db.read() as session:
        for entry in entries:
            if entry.subject in found:
                continue
            kind, _, number = entry.subject.partition(":")
            if kind == "device" and (device := session.get(Device, int(number))):
                found[entry.subject] = device.display_name
            elif kind == "token" and (token := session.get(ApiToken, int(number))):
                found[entry.subject] = token.name
            elif kind == "view":
                found[entry.subject] = str(entry.details["name"])
            elif "email" in entry.details:
                found[entry.subject] = str(entry.details["email"])
    return found
