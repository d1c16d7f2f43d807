"""Merge a device into another one, for the same device under two identifiers.

Both histories are kept, and the identifier of the merged device goes on as an alias of the other.
Aliases are part of the lookup of each request, so a block applies to all identifiers at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from apidevices import audit, signals
from apidevices.database import Database
from apidevices.devices import deletion, ends
from apidevices.devices import merged_rows as rows
from apidevices.devices.changes import Check, allow
from apidevices.devices.description import MAX_NOTE
from apidevices.devices.merged_rows import Move
from apidevices.devices.queries import load
from apidevices.errors import Conflict, DeviceMerged, DeviceNotFound
from apidevices.identity import DETAILS
from apidevices.listing import search
from apidevices.models import (
    MAX_ID,
    Device,
    DeviceActivity,
    DeviceAlias,
    DeviceHistory,
    Operation,
    OperationDevice,
)

_FOREVER = datetime.max.replace(tzinfo=UTC)


def merge(
    db: Database,
    device_id: int,
    into_id: int,
    *,
    moves: Iterable[Move],
    actor: str,
    now: datetime,
    check: Check = allow,
) -> Device:
    """Merge a device into another one, and return that one. This can't be undone.

    History, tokens, tags, notes and counts of both are kept. The details are those of the device
    that was active more recently, and the name is that of the other device, or else of the merged
    one. If either is blocked, the result is, until the later end. All identifiers of the merged
    device become aliases: requests with them come from the other device.

    Args:
        db: The database.
        device_id: The id of the device to merge.
        into_id: The id of the device that stays.
        moves: Move the rows of the application's own tables.
        actor: Who merges them.
        now: The current time.
        check: Is called with the device that stays, and can prevent the merge.

    Raises:
        DeviceNotFound: No device has one of the ids.
        Conflict: Both ids are the same, the result would have too many tags or too long a note, or
            a change of many devices that includes one of them is in progress.
    """
    if device_id == into_id:
        raise Conflict("A device can't be merged into itself.")
    if max(device_id, into_id) > MAX_ID:
        raise DeviceNotFound  # database drivers reject integers this large
    with db.write() as session:
        _hold_operations(session, [device_id, into_id])
        merged, device = _lock(db, session, device_id, into_id)
        check(device)
        ended = ends.end_in(db, session, [device_id, into_id], now)
        for each in (merged, device):
            if each.id in ended:
                session.refresh(each)
        was_blocked = device.blocked_at is not None
        _Merge(db, session, merged, device, actor, now).run(moves)
    search.remove_deleted(db)
    if into_id in ended:
        signals.send_for(signals.device_unblocked, device)
    signals.send_for(signals.device_merged, device, merged=merged)
    if device.blocked_at is not None and not was_blocked:
        signals.send_for(signals.device_blocked, device)
    return device


def _hold_operations(session: Session, ids: list[int]) -> None:
    """Lock the operations on devices, so that none is undone during the merge.

    Raises:
        Conflict: One of them is in progress. It would leave out the merged device.
    """
    involved = select(OperationDevice.operation_id).where(OperationDevice.device_id.in_(ids))
    found = or_(Operation.id.in_(involved), Operation.undoes.in_(involved))
    # Before the devices, as the steps of operations do.
    locked = select(Operation).where(found).order_by(Operation.id).with_for_update()
    if any(operation.finished_at is None for operation in session.scalars(locked)):
        raise Conflict(
            "A change of many devices that includes this one is in progress. Try again when it has"
            " finished."
        )


def _lock(db: Database, session: Session, device_id: int, into_id: int) -> tuple[Device, Device]:
    """Lock both devices, and return them."""
    ids, connection = sorted((device_id, into_id)), session.connection()
    # In the order of changes of many devices, and of activity writes: see ``deletion``.
    db.lock(connection, Device.id, ids)
    db.lock(connection, DeviceActivity.device_id, ids)
    # From now on, no upload can refer to the device that is about to be deleted.
    session.execute(select(Device.id).where(Device.id == device_id).with_for_update())
    try:
        merged = load(session, device_id, lock=True)
    except DeviceMerged:
        raise
    except DeviceNotFound as error:
        raise DeviceNotFound(f"The device to merge, {device_id}, does not exist.") from error
    return merged, load(session, into_id, lock=True)


@dataclass(frozen=True, slots=True)
class _Merge:
    """A merge of two locked devices in the transaction of a session."""

    db: Database
    session: Session
    merged: Device
    device: Device
    actor: str
    now: datetime

    def run(self, moves: Iterable[Move]) -> None:
        merged, device, session = self.merged, self.device, self.session
        aliases = sorted({*device.aliases, *merged.aliases, merged.identifier})
        changes = self._changes()
        self._merge_notes()
        tags = rows.move_tags(session, merged.id, device.id)
        both_blocked = merged.blocked_at is not None and device.blocked_at is not None
        self._merge_blocks()
        self._merge_activity()
        for field, (_, new) in changes.items():
            setattr(device, field, new)
        device.first_seen_at = min(device.first_seen_at, merged.first_seen_at)
        device.search_key = search.search_key(device.identifier, device.name, aliases)
        device.activity.search_key = search.short_key(device.search_key)
        session.flush()
        session.expunge(merged.activity)
        session.expunge(merged)
        for move in (*rows.moves(self.db), *moves):
            move(session, merged.id, device.id)
        if both_blocked:
            # To undo a block of one of them would lift that of the other.
            session.connection().execute(
                delete(OperationDevice).where(OperationDevice.device_id == device.id)
            )
        deletion.remove(self.db, session, [merged.id])
        self._record(changes, tags)
        session.flush()
        session.refresh(device, ["joined_tags", "joined_aliases"])

    def _changes(self) -> dict[str, list[str | None]]:
        """Return what changes in the details and the name of the device that stays."""
        merged, device = self.merged, self.device
        new = {"name": device.name or merged.name}
        if merged.activity.last_active_at > device.activity.last_active_at:
            new |= {field: getattr(merged, field) for field in DETAILS}
        return {
            field: [getattr(device, field), value]
            for field, value in new.items()
            if value is not None and value != getattr(device, field)
        }

    def _merge_notes(self) -> None:
        notes = [note for note in (self.device.note, self.merged.note) if note]
        note = "\n\n".join(dict.fromkeys(notes))
        if len(note) > MAX_NOTE:
            raise Conflict(
                f"Together, the notes of both devices have more than {MAX_NOTE:,} characters."
                " Shorten one of them first."
            )
        self.device.note = note or None

    def _merge_blocks(self) -> None:
        """Keep the block that ends later. It counts the denied requests of both."""
        merged, device = self.merged, self.device
        blocked = [each for each in (device, merged) if each.blocked_at is not None]
        if not blocked:
            return
        lasting = max(blocked, key=lambda each: each.blocked_until or _FOREVER)
        denied = device.activity.denied_count + merged.activity.denied_count
        since = sum(each.denied_since_block or 0 for each in blocked)
        before = None if lasting.denied_since_block is None else denied - since
        for column in deletion.BLOCK:
            setattr(device, column, getattr(lasting, column))
        device.denied_before_block = before

    def _merge_activity(self) -> None:
        old, new = self.merged.activity, self.device.activity
        new.last_active_at = max(old.last_active_at, new.last_active_at)
        uploads = [each.last_upload_at for each in (old, new) if each.last_upload_at]
        new.last_upload_at = max(uploads, default=None)
        new.denied_count += old.denied_count
        if old.last_denied_at and (
            not new.last_denied_at or old.last_denied_at > new.last_denied_at
        ):
            for column in ("last_denied_at", "last_denied_address", "last_denied_token_id"):
                setattr(new, column, getattr(old, column))
        if old.archived_at is None:
            new.archived_at = None
        new.blocked = self.device.blocked_at is not None
        new.last_activity_at = self.device.blocked_at or new.last_active_at

    def _record(self, changes: dict[str, list[str | None]], tags: list[str]) -> None:
        """Store the alias, and record the merge in the history and in the audit log."""
        merged, device = self.merged, self.device
        about = {"merged": merged.id, "identifier": merged.identifier, "name": merged.name}
        self.session.add_all(
            [
                DeviceAlias(
                    identifier=merged.identifier,
                    device_id=device.id,
                    former_id=merged.id,
                    merged_at=self.now,
                    merged_by=self.actor,
                ),
                DeviceHistory(
                    device_id=device.id,
                    kind="merged",
                    at=self.now,
                    changes=changes,
                    actor=self.actor,
                    details={**about, "tags": tags} if tags else about,
                ),
            ]
        )
        audit.record(
            self.session,
            audit.Action.DEVICE_MERGED,
            f"device:{device.id}",
            actor=self.actor,
            at=self.now,
            **about,
        )
