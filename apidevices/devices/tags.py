"""Tags of devices: short labels to find devices by, such as "Main entrance".

Two tags are the same if they are equal when folded; the folded tag is the ``key``. All devices show
a tag as the first of them spelled it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Text, delete, func, insert, literal, select
from sqlalchemy.orm import Session

from apidevices import signals
from apidevices.audit import Action
from apidevices.database import Database
from apidevices.devices.bulk import Change
from apidevices.devices.changes import Check, allow
from apidevices.devices.chosen import Chosen
from apidevices.devices.editing import Edit, editing
from apidevices.devices.records import add_tag_history
from apidevices.errors import InvalidInput
from apidevices.listing.search import fold
from apidevices.models import Device, DeviceTag
from apidevices.text import clean_text

MAX_TAG = 50
"""The maximum length of a tag, in characters."""

MAX_TAGS = 50
"""How many tags a device can have."""

_TOO_MANY = f"A device can have at most {MAX_TAGS} tags."

Tags = Mapping[str, str]
"""Key -> tag."""


def tag(
    db: Database,
    device_id: int,
    tags: Iterable[str],
    *,
    actor: str,
    now: datetime,
    check: Check = allow,
) -> Device:
    """Add tags to a device. Idempotent.

    A tag that another device has, except for upper and lower case, is spelled as there.

    Raises:
        DeviceNotFound: No device has this id.
        InvalidInput: A tag has more than 50 characters or a comma, or the device would have more
            than 50 tags.
    """
    wanted = clean_tags(tags)
    with editing(db, device_id, actor=actor, now=now, check=check) as edit:
        _write(edit, wanted, removed={})
    return edit.device


def untag(
    db: Database,
    device_id: int,
    tags: Iterable[str],
    *,
    actor: str,
    now: datetime,
    check: Check = allow,
) -> Device:
    """Remove tags from a device, in any spelling. Idempotent.

    Raises:
        DeviceNotFound: No device has this id.
        InvalidInput: A tag has more than 50 characters or a comma.
    """
    unwanted = clean_tags(tags)
    with editing(db, device_id, actor=actor, now=now, check=check) as edit:
        _write(edit, {}, removed=unwanted)
    return edit.device


def tag_all(
    db: Database, chosen: Chosen, tags: Iterable[str], *, actor: str, now: datetime
) -> list[int]:
    """Add tags to devices. Idempotent. Transactions and result are as for ``block_all``.

    Raises:
        Conflict: The filters match another number of devices than expected. None is tagged.
        InvalidInput: A tag is invalid, or a device would have more than 50 tags: see ``tag``.
    """
    return Tag(db, actor, now, clean_tags(tags)).run(chosen)


def untag_all(
    db: Database, chosen: Chosen, tags: Iterable[str], *, actor: str, now: datetime
) -> list[int]:
    """Remove tags from devices. Idempotent. Transactions and result are as for ``block_all``.

    Raises:
        Conflict: The filters match another number of devices than expected. Nothing is removed.
        InvalidInput: A tag is invalid: see ``untag``.
    """
    return Untag(db, actor, now, clean_tags(tags)).run(chosen)


def clean_tags(tags: Iterable[str]) -> Tags:
    """Return tags as they are stored, without duplicates and those that have no visible characters.

    Raises:
        InvalidInput: A tag has more than 50 characters or a comma, or there are more than 50.
    """
    cleaned: dict[str, str] = {}
    for text in filter(None, map(clean_text, tags)):
        if len(text) > MAX_TAG:
            raise InvalidInput("tags", f"A tag can have at most {MAX_TAG} characters.")
        if "," in text:
            raise InvalidInput("tags", f"The tag “{text}” contains a comma, which separates tags.")
        cleaned.setdefault(fold(text), text)
    if len(cleaned) > MAX_TAGS:
        raise InvalidInput("tags", _TOO_MANY)
    return cleaned


def replace(edit: Edit, tags: Tags) -> None:
    """Replace all tags of a device.

    Raises:
        InvalidInput: There are more than 50.
    """
    _write(edit, tags, removed=set(map(fold, edit.device.tags)) - tags.keys())


def _write(edit: Edit, wanted: Tags, removed: Collection[str]) -> None:
    """Add and remove tags of a device; those that it has, or doesn't have, stay as they are."""
    session, device = edit.session, edit.device
    present = {fold(text): text for text in device.tags}
    gone = {key: text for key, text in present.items() if key in removed}
    new = {key: text for key, text in wanted.items() if key not in present}
    if new and len(present) - len(gone) + len(new) > MAX_TAGS:
        raise InvalidInput("tags", _TOO_MANY)
    if gone:
        mine = DeviceTag.device_id == device.id
        session.connection().execute(delete(DeviceTag).where(mine, DeviceTag.key.in_(gone)))
        edit.record(Action.DEVICE_UNTAGGED, signals.device_untagged, tags=list(gone.values()))
    if new:
        spelled = _as_spelled(edit.db, session, new)
        rows = [{"device_id": device.id, "key": key, "tag": spelled[key]} for key in spelled]
        session.connection().execute(insert(DeviceTag), rows)
        edit.record(Action.DEVICE_TAGGED, signals.device_tagged, tags=list(spelled.values()))
    if gone or new:
        session.refresh(device, ["joined_tags"])


def _as_spelled(db: Database, session: Session, tags: Tags) -> Tags:
    """Return tags in the spelling of the devices that have them."""
    used = _used_spellings(session, tags)
    if len(used) < len(tags):
        db.make_exclusive(session)  # others may be adding the same new tag in another spelling
        used = _used_spellings(session, tags)
    return {**tags, **used}


def _used_spellings(session: Session, tags: Tags) -> Tags:
    used = {}
    for key in tags:
        rows = select(DeviceTag.tag).where(DeviceTag.key == key).order_by(DeviceTag.device_id)
        if text := session.scalar(rows.limit(1)):
            used[key] = text
    return used


class TagChange(Change):
    """A change of the tags of many devices. ``changed`` has what each device gained or lost."""

    def __init__(self, db: Database, actor: str, now: datetime, tags: Tags) -> None:
        super().__init__(db, actor, now)
        self._tags = tags
        self.changed: dict[int, list[str]] = {}

    def details(self, device: Row[Any] | None = None) -> dict[str, Any]:
        """Return the tags that the device has gained or lost, or the tags of the change."""
        return {"tags": list(self._tags.values()) if device is None else self.changed[device.id]}

    def _add_history_of_tags(self, session: Session, kind: str) -> None:
        connection = session.connection()
        add_tag_history(self.db, connection, kind, self.changed, self.now, self.actor)

    def signal_details(self, device: Device) -> dict[str, Any]:
        """Return the tags that the device has gained or lost."""
        return {"tags": self.changed[device.id]}


class Tag(TagChange):
    """Adds tags to devices."""

    action, action_for_all = Action.DEVICE_TAGGED, Action.DEVICES_TAGGED
    signal = signals.device_tagged

    def apply(self, session: Session, ids: Sequence[int]) -> Sequence[int]:
        """Add the tags that each device doesn't have.

        Raises:
            InvalidInput: A device would have more than 50 tags.
        """
        if problem := self.problem(session, ids):
            raise problem
        self._tags = _as_spelled(self.db, session, self._tags)
        devices = Device.id.in_(self.db.id_list(ids))
        changed = defaultdict(list)
        for key, text in self._tags.items():
            rows = select(Device.id, literal(key, Text), literal(text, Text)).where(devices)
            statement = (
                self.db.insert(DeviceTag)
                .from_select(["device_id", "key", "tag"], rows)
                .on_conflict_do_nothing()
                .returning(DeviceTag.device_id)
            )
            for device_id in session.connection().scalars(statement):
                changed[device_id].append(text)
        self.changed = changed
        self._add_history_of_tags(session, "tagged")
        return sorted(changed)

    def problem(self, session: Session, ids: Sequence[int]) -> InvalidInput | None:
        """Return an error if a device would have more than 50 tags."""
        others = (
            select(DeviceTag.device_id)
            .where(DeviceTag.device_id.in_(self.db.id_list(ids)), DeviceTag.key.not_in(self._tags))
            .group_by(DeviceTag.device_id)
            .having(func.count() > MAX_TAGS - len(self._tags))
        )
        number = session.scalar(select(func.count()).select_from(others.subquery()))
        if not number:
            return None
        return InvalidInput(
            "tags",
            f"A device can have at most {MAX_TAGS} tags, and {number:,} of these devices would"
            " have more.",
        )


class Untag(TagChange):
    """Removes tags from devices."""

    action, action_for_all = Action.DEVICE_UNTAGGED, Action.DEVICES_UNTAGGED
    signal = signals.device_untagged

    def apply(self, session: Session, ids: Sequence[int]) -> Sequence[int]:
        """Remove the tags that each device has."""
        statement = (
            delete(DeviceTag)
            .where(DeviceTag.device_id.in_(self.db.id_list(ids)), DeviceTag.key.in_(self._tags))
            .returning(DeviceTag.device_id, DeviceTag.tag)
        )
        changed = defaultdict(list)
        for device_id, text in session.connection().execute(statement):
            changed[device_id].append(text)
        self.changed = changed
        self._add_history_of_tags(session, "untagged")
        return sorted(changed)
