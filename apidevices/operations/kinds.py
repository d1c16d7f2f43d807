"""The kinds of operations: how each changes devices, and what undoes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apidevices import devices
from apidevices.database import Database
from apidevices.devices import Change, States
from apidevices.operations import states
from apidevices.operations.states import Part

Arguments = Mapping[str, Any]
"""The arguments of an operation, as JSON."""


@dataclass(frozen=True, slots=True)
class Undo:
    """How to undo a kind of operation.

    Attributes:
        part: What the operation changes.
        restore: Makes the change that restores states.
    """

    part: Part
    restore: Callable[[Database, str, datetime, States], Change]


def _block(db: Database, actor: str, now: datetime, arguments: Arguments) -> Change:
    until = arguments["until"] and datetime.fromisoformat(arguments["until"])
    return devices.Block(db, actor, now, arguments["reason"], until)


def _unblock(db: Database, actor: str, now: datetime, _: object) -> Change:
    return devices.Unblock(db, actor, now)


def _undo_block(db: Database, actor: str, now: datetime, before: States) -> Change:
    if any(state["blocked_at"] for state in before.values()):
        return devices.RestoreBlock(db, actor, now, before)  # only its end had been changed
    return devices.Unblock(db, actor, now)


def _tag(db: Database, actor: str, now: datetime, arguments: Arguments) -> Change:
    return devices.Tag(db, actor, now, devices.clean_tags(arguments["tags"]))


def _untag(db: Database, actor: str, now: datetime, arguments: Arguments) -> Change:
    return devices.Untag(db, actor, now, devices.clean_tags(arguments["tags"]))


def _archive(db: Database, actor: str, now: datetime, _: object) -> Change:
    return devices.Archive(db, actor, now)


def _unarchive(db: Database, actor: str, now: datetime, _: object) -> Change:
    return devices.Unarchive(db, actor, now)


def _delete(db: Database, actor: str, now: datetime, arguments: Arguments) -> Change:
    return devices.Delete(db, actor, now, arguments["keep_block"])


CHANGES: Mapping[str, Callable[[Database, str, datetime, Arguments], Change]] = {
    "block": _block,
    "unblock": _unblock,
    "tag": _tag,
    "untag": _untag,
    "archive": _archive,
    "unarchive": _unarchive,
    "delete": _delete,
}
"""Kind of an operation on many devices -> makes its change."""

URGENT = ("block", "unblock")
"""Kinds whose changes, and what undoes them, may use the disk reserve: see ``Change.is_urgent``."""

UNDOS: Mapping[str, Undo] = {
    "block": Undo(states.BLOCK, _undo_block),
    "unblock": Undo(states.BLOCK, devices.RestoreBlock),
    "rename": Undo(states.NAME, devices.RestoreName),
    "tag": Undo(states.TAGS, devices.RestoreTags),
    "untag": Undo(states.TAGS, devices.RestoreTags),
    "archive": Undo(states.ARCHIVED, _unarchive),
    "unarchive": Undo(states.ARCHIVED, devices.RestoreArchived),
    "tags": Undo(states.TAGS, devices.RestoreTags),
}
"""Kind of an operation that can be undone -> how."""
