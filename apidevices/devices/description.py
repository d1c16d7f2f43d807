"""What administrators write about a device: its name, its note and its tags."""

from collections.abc import Iterable
from datetime import datetime

from apidevices import signals
from apidevices.audit import Action
from apidevices.database import Database
from apidevices.devices import tags as device_tags
from apidevices.devices.changes import Check, allow
from apidevices.devices.editing import Edit, editing
from apidevices.errors import InvalidInput
from apidevices.listing.search import search_key, short_key
from apidevices.models import Device
from apidevices.text import MAX_LENGTH, clean_lines, clean_text

MAX_NOTE = 10_000
"""The maximum length of a note, in characters."""


def describe(
    db: Database,
    device_id: int,
    *,
    name: str | None = None,
    note: str | None = None,
    tags: Iterable[str] | None = None,
    actor: str,
    now: datetime,
    check: Check = allow,
) -> Device:
    """Set the name, note and tags of a device in one transaction, each unless it is None.

    Empty ones are removed. A device without a name is shown by its identifier.

    Raises:
        DeviceNotFound: No device has this id.
        InvalidInput: The name has more than 255 characters or no visible ones, the note has more
            than 10,000 characters, or a tag is invalid: see ``tag``.
    """
    new_name = None if name is None else _clean_name(name)
    new_note = None if note is None else _clean_note(note)
    new_tags = None if tags is None else device_tags.clean_tags(tags)
    with editing(db, device_id, actor=actor, now=now, check=check) as edit:
        if new_name is not None:
            _set_name(edit, new_name or None)
        if new_note is not None:
            _set_note(edit, new_note or None)
        if new_tags is not None:
            device_tags.replace(edit, new_tags)
    return edit.device


def rename(
    db: Database,
    device_id: int,
    name: str,
    *,
    actor: str,
    now: datetime,
    check: Check = allow,
) -> Device:
    """Set a device's name. An empty name removes it: the device is then shown by its identifier.

    Raises:
        DeviceNotFound: No device has this id.
        InvalidInput: The name is longer than 255 characters or has no visible characters.
    """
    return describe(db, device_id, name=name, actor=actor, now=now, check=check)


def annotate(
    db: Database,
    device_id: int,
    note: str,
    *,
    actor: str,
    now: datetime,
    check: Check = allow,
) -> Device:
    """Set the note of a device, which keeps its line breaks. An empty note removes it.

    Raises:
        DeviceNotFound: No device has this id.
        InvalidInput: The note is longer than 10,000 characters.
    """
    return describe(db, device_id, note=note, actor=actor, now=now, check=check)


def set_tags(
    db: Database,
    device_id: int,
    tags: Iterable[str],
    *,
    actor: str,
    now: datetime,
    check: Check = allow,
) -> Device:
    """Replace all tags of a device.

    Raises:
        DeviceNotFound: No device has this id.
        InvalidInput: A tag is invalid, or there are more than 50.
    """
    return describe(db, device_id, tags=tags, actor=actor, now=now, check=check)


def _clean_name(name: str) -> str:
    new = clean_text(name)
    if not new and name.strip():
        raise InvalidInput("name", "This name has no visible characters.")
    if len(new) > MAX_LENGTH:
        raise InvalidInput("name", f"A name can have at most {MAX_LENGTH} characters.")
    return new


def _clean_note(note: str) -> str:
    new = clean_lines(note)
    if len(new) > MAX_NOTE:
        raise InvalidInput("note", f"A note can have at most {MAX_NOTE:,} characters.")
    return new


def _set_name(edit: Edit, new: str | None) -> None:
    device = edit.device
    if device.name == new:
        return
    edit.record(Action.DEVICE_RENAMED, signals.device_renamed, old=device.name, new=new)
    device.name = new
    device.search_key = search_key(device.identifier, new, device.aliases)
    device.activity.search_key = short_key(device.search_key)


def _set_note(edit: Edit, new: str | None) -> None:
    if edit.device.note == new:
        return
    edit.device.note = new
    # The audit log outlives the device, so it doesn't contain the text.
    edit.record(Action.DEVICE_ANNOTATED, signals.device_annotated, characters=len(new or ""))
