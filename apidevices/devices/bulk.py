"""Change many devices with one call: block, unblock or delete them.

A flood of made-up identifiers can register a hundred thousand devices. A change is therefore a few
statements for all devices rather than some for each: on SQLite, all other writes wait for it.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from blinker import Signal
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from apidevices import audit, signals
from apidevices.audit import Action
from apidevices.database import Database, retried_with_reserve
from apidevices.devices import deletion, ends
from apidevices.devices.changes import check_until, clean_reason
from apidevices.devices.chosen import Chosen, Matching, ids_of
from apidevices.devices.records import MAX_ENTRIES, add_history, block_details
from apidevices.errors import Conflict, InvalidInput
from apidevices.listing import Filters, search
from apidevices.models import Device

STEP = 10_000
"""How many devices one transaction changes at most. Others wait for it, and fail after
``LOCK_TIMEOUT``: every write on SQLite, and activity writes for these devices on PostgreSQL."""

PAUSE = 0.05
"""Seconds between two of these transactions, for other writes."""

LOADED = 1_000
"""How many devices to load at a time for receivers of signals."""


class Step(NamedTuple):
    """The ids, in order, of the devices that a step has found, and of those that it changed."""

    found: Sequence[int]
    changed: Sequence[int]


def block_all(
    db: Database,
    chosen: Chosen,
    *,
    reason: str | None,
    until: datetime | None = None,
    actor: str,
    now: datetime,
) -> list[int]:
    """Block devices until a time, or without an end.

    Idempotent: devices that are already blocked keep their time, reason and end.

    Up to ``STEP`` devices are blocked in one transaction, more in several. If one of these fails,
    the devices before stay blocked.

    Returns:
        The ids of the devices in order, including those that were already blocked. Unknown ids are
        left out.

    Raises:
        Conflict: The filters match another number of devices than expected. None is blocked.
        InvalidInput: The reason is longer than 1,000 characters, or the end is not in the future or
            more than 100 years ahead.
    """
    check_until(until, now)
    return Block(db, actor, now, clean_reason(reason), until).run(chosen)


def unblock_all(db: Database, chosen: Chosen, *, actor: str, now: datetime) -> list[int]:
    """Unblock devices. Idempotent. Transactions and result are as for ``block_all``.

    Raises:
        Conflict: The filters match another number of devices than expected. None is unblocked.
    """
    return Unblock(db, actor, now).run(chosen)


def delete_all(
    db: Database, chosen: Chosen, *, keep_block: bool = False, actor: str, now: datetime
) -> list[int]:
    """Delete devices, as ``delete`` does. Transactions and result are as for ``block_all``.

    Raises:
        Conflict: The filters match another number of devices than expected. None is deleted.
    """
    done = Delete(db, actor, now, keep_block).run(chosen)
    search.remove_deleted(db)
    return done


class Change(ABC):
    """A change of many devices, at once or in steps."""

    action: Action
    """The action in the audit entry of a device."""
    action_for_all: Action
    """The action in the audit entry for all devices."""
    signal: Signal
    records_each: bool
    """Whether each device gets an audit entry."""
    is_urgent = False
    """Whether it may use the disk reserve, however many devices it changes. Others would use it up,
    and then no device could be blocked any more."""

    def __init__(self, db: Database, actor: str, now: datetime) -> None:
        self.db = db
        self.actor = actor
        self.now = now

    def problem(self, _session: Session, _ids: Sequence[int]) -> InvalidInput | None:
        """Return why one of the devices can't be changed, if so. Then, none must be."""
        return None

    @abstractmethod
    def apply(self, session: Session, ids: Sequence[int]) -> Sequence[int]:
        """Change locked devices; return the ids of those that were in another state before."""

    def details(self, _device: Row[Any] | None = None) -> dict[str, Any]:
        """Return the details of the audit entry of a device, or of the entry for all devices."""
        return {}

    def signal_details(self, _device: Device) -> dict[str, Any]:
        """Return the details of the signal for a device."""
        return {}

    def run(self, chosen: Chosen) -> list[int]:
        """Change the chosen devices, record that and send signals; return their ids in order."""
        ends.end_blocks_if_possible(self.db, self.now)  # the filters need the present state
        with self.db.read() as session:
            ids = ids_of(session, chosen)
            if problem := self.problem(session, ids):
                raise problem
        self.records_each = len(ids) <= MAX_ENTRIES
        filters = chosen.filters if isinstance(chosen, Matching) else None
        done: list[int] = []
        for start in range(0, len(ids), STEP):
            if start:
                time.sleep(PAUSE)
            found, changed = self._change(ids[start : start + STEP], filters)
            self.send(changed)
            done += found
        return done

    def step(self, session: Session, ids: Sequence[int]) -> Step:
        """Change devices in the transaction of ``session`` and record that. Sends no signals."""
        devices = self._lock(session, ids)
        found = [device.id for device in devices]
        changed = self.apply(session, found)
        if self.records_each:
            recorded = set(changed)
            for device in devices:
                if device.id in recorded:
                    self._log(session, self.action, f"device:{device.id}", **self.details(device))
        return Step(found, changed)

    def record_all(self, session: Session, filters: Filters, number: int) -> None:
        """Record that this number of the devices that match filters have changed."""
        matching = filters.model_dump(mode="json", exclude_defaults=True)
        values = {"filter": matching, "number": number, **self.details()}
        self._log(session, self.action_for_all, "devices", **values)

    @retried_with_reserve
    def _change(self, ids: Sequence[int], filters: Filters | None) -> Step:
        """Change devices in one transaction."""
        with self.db.write(essential=self.is_urgent or self.records_each) as session:
            step = self.step(session, ids)
            if step.changed and filters is not None:
                self.record_all(session, filters, len(step.changed))
        return step

    def _log(self, session: Session, action: Action, subject: str, **details: Any) -> None:
        audit.record(session, action, subject, actor=self.actor, at=self.now, **details)

    def send(self, changed: Sequence[int]) -> None:
        """Send the signal for each device that has changed, if it has receivers."""
        if self.signal.receivers:
            with self.db.read() as session:
                for device in _load(session, changed):
                    details = self.signal_details(device)
                    signals.send_for(self.signal, device, **details)

    def _lock(self, session: Session, ids: Sequence[int]) -> Sequence[Row[Any]]:
        """Lock devices; return their ids, and what is needed to record the change of each."""
        # Concurrent calls lock rows in the same order, so they can't deadlock.
        query = select(Device.id).where(Device.id.in_(self.db.id_list(ids))).order_by(Device.id)
        return session.execute(query.with_for_update(key_share=True)).all()

    def _add_history(
        self, session: Session, ids: Sequence[int], details: dict[str, Any] | None = None
    ) -> None:
        """Add an entry with the action to the history of devices."""
        kind = self.action.value.removeprefix("device.")
        add_history(self.db, session.connection(), ids, kind, self.now, self.actor, details)


class Block(Change):
    """Blocks devices that are not blocked yet."""

    action, action_for_all = Action.DEVICE_BLOCKED, Action.DEVICES_BLOCKED
    signal = signals.device_blocked
    is_urgent = True

    def __init__(
        self,
        db: Database,
        actor: str,
        now: datetime,
        reason: str | None,
        until: datetime | None = None,
    ) -> None:
        super().__init__(db, actor, now)
        self._reason, self._until = reason, until

    def apply(self, session: Session, ids: Sequence[int]) -> Sequence[int]:
        """Block those that are not blocked."""
        if self._until is not None and self._until <= self.now:  # the operation was interrupted
            raise Conflict("The end of the block has passed.")
        ends.end_in(self.db, session, ids, self.now)
        changed = ends.set_columns(
            self.db,
            session,
            ids,
            Device.blocked_at.is_(None),
            device={
                "blocked_at": self.now,
                "block_reason": self._reason,
                "blocked_by": self.actor,
                "blocked_until": self._until,
                "denied_before_block": ends.DENIED_COUNT,
            },
            activity={"blocked": True, "last_activity_at": self.now},
        )
        self._add_history(session, changed, self.details())
        return changed

    def details(self, _device: Row[Any] | None = None) -> dict[str, Any]:
        """Return the reason, and the end if there is one."""
        return block_details(self._reason, self._until)


class Unblock(Change):
    """Unblocks devices that are blocked."""

    action, action_for_all = Action.DEVICE_UNBLOCKED, Action.DEVICES_UNBLOCKED
    signal = signals.device_unblocked
    is_urgent = True

    def apply(self, session: Session, ids: Sequence[int]) -> Sequence[int]:
        """Unblock those that are blocked."""
        ends.end_in(self.db, session, ids, self.now)
        changed = ends.clear_blocks(self.db, session, ids)
        self._add_history(session, changed)
        return changed


class Delete(Change):
    """Deletes devices with everything that is stored about them."""

    action, action_for_all = Action.DEVICE_DELETED, Action.DEVICES_DELETED
    signal = signals.device_deleted

    def __init__(self, db: Database, actor: str, now: datetime, keep_block: bool = False) -> None:
        super().__init__(db, actor, now)
        self._keep_block = keep_block

    def apply(self, session: Session, ids: Sequence[int]) -> Sequence[int]:
        """Delete all."""
        self._deleted = list(_load(session, ids)) if self.signal.receivers else []
        keep_blocks_at = self.now if self._keep_block else None
        deletion.delete_rows(self.db, session, ids, keep_blocks_at=keep_blocks_at)
        return ids

    def details(self, _device: Row[Any] | None = None) -> dict[str, Any]:
        """Return whether blocks are kept, but nothing about the devices."""
        return deletion.deletion_details(self._keep_block)

    def record_all(self, session: Session, filters: Filters, number: int) -> None:
        """Record the deletion, without the search text: that may be a name or an identifier."""
        super().record_all(session, filters.model_copy(update={"name": ""}), number)

    def send(self, _changed: Sequence[int]) -> None:
        """Send the signal for each device with what it was."""
        for device in self._deleted:
            signals.send_for(self.signal, device)


def _load(session: Session, ids: Sequence[int]) -> Iterator[Device]:
    """Yield devices, some at a time."""
    for start in range(0, len(ids), LOADED):
        some = select(Device).where(Device.id.in_(ids[start : start + LOADED]))
        yield from session.scalars(some.order_by(Device.id))
