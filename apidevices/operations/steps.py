"""Run an operation, one step after the other. Each step is one transaction.

A step locks the operation, changes its next devices and notes in ``position`` how far it has come.
Whoever continues an interrupted operation, therefore, neither leaves out a device nor changes one
twice, even if two do so at the same time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from sqlalchemy import Row, Table, bindparam, select, update
from sqlalchemy.orm import Session

from apidevices import clock
from apidevices.database import Database, retried_with_reserve
from apidevices.devices import Change, Delete, States
from apidevices.devices.records import MAX_ENTRIES
from apidevices.listing import Filters, search
from apidevices.models import Operation, OperationDevice
from apidevices.operations.kinds import CHANGES, UNDOS, URGENT

_devices = cast(Table, OperationDevice.__table__)


class Step(NamedTuple):
    """What a step has done."""

    change: Change
    changed: Sequence[int]
    is_last: bool

    def complete(self) -> None:
        """Do what has to wait until the step is committed."""
        self.change.send(self.changed)
        if isinstance(self.change, Delete):
            search.remove_deleted(self.change.db)


@retried_with_reserve
def run(
    db: Database, operation_id: int, size: int, lease: str, renewed_for: timedelta
) -> Step | None:
    """Run the next step of an operation; return None if it has ended, or if another thread runs it.

    Args:
        db: The database.
        operation_id: The id of the operation.
        size: How many devices to change at most.
        lease: The lease of this thread.
        renewed_for: For how long to renew the lease.
    """
    with db.write(essential=is_urgent(db, operation_id)) as session:
        operation = _leased(session, operation_id, lease)
        if operation is None:
            return None
        operation.leased_until = cast(Any, db.backend.now(renewed_for))
        return advance(db, session, operation, size, clock.now())


def is_urgent(db: Database, operation_id: int) -> bool:
    """Return whether an operation, or the one that it undoes, may use the disk reserve."""
    with db.read() as session:
        operation = session.get_one(Operation, operation_id)
        if operation.undoes is not None:
            operation = session.get_one(Operation, operation.undoes)
    return operation.kind in URGENT


def release(db: Database, operation_id: int, lease: str) -> None:
    """Let another thread continue an operation at once."""
    with db.write() as session:
        if operation := _leased(session, operation_id, lease):
            operation.lease = operation.leased_until = None


def fail(db: Database, operation_id: int, lease: str, error: str) -> None:
    """End an operation that can't continue. What it has changed stays changed."""
    with db.write() as session:
        if operation := _leased(session, operation_id, lease):
            operation.finished_at, operation.error = clock.now(), error


def _leased(session: Session, operation_id: int, lease: str) -> Operation | None:
    """Lock and return an operation that a thread runs; None if it has ended or changed hands."""
    operation = session.get(Operation, operation_id, with_for_update=True)
    if operation is None or operation.finished_at or operation.lease != lease:
        return None
    return operation


def advance(db: Database, session: Session, operation: Operation, size: int, now: datetime) -> Step:
    """Change the next devices of a locked operation in the transaction of ``session``."""
    rows = _next_rows(session, operation, size)
    undone = session.get_one(Operation, operation.undoes) if operation.undoes else None
    if undone is None:
        change, changed, found = _change(db, session, operation, rows, now)
    else:
        change, changed, found = _restore(db, session, operation, undone, rows, now)
    operation.changed += len(changed)
    operation.unchanged += found - len(changed)
    if rows:
        operation.position = rows[-1].device_id
    is_last = len(rows) < size
    if is_last:
        operation.finished_at = now
        filters = (undone or operation).arguments.get("filter")
        if filters is not None and operation.changed:
            change.record_all(session, Filters.model_validate(filters), operation.changed)
        # Undo needs the filter alone, and a reason may be about a person.
        given = operation.arguments
        operation.arguments = {name: given[name] for name in given if name == "filter"}
    return Step(change, changed, is_last)


def _next_rows(session: Session, operation: Operation, size: int) -> Sequence[Any]:
    row = _devices.c
    query = select(row.device_id, row.before, row.after).where(
        row.operation_id == (operation.undoes or operation.id), row.device_id > operation.position
    )
    if operation.undoes:
        query = query.where(row.before.is_not(None))
    return session.execute(query.order_by(row.device_id).limit(size)).all()


def _change(
    db: Database, session: Session, operation: Operation, rows: Sequence[Row[Any]], now: datetime
) -> tuple[Change, Sequence[int], int]:
    """Change devices; return the change, the ids of the changed ones, and how many were found."""
    undo = UNDOS.get(operation.kind)
    change = CHANGES[operation.kind](db, operation.actor, now, operation.arguments)
    change.records_each = operation.total <= MAX_ENTRIES
    ids = [row.device_id for row in rows]
    before = undo and undo.part.lock(db, session, ids, now)
    found, changed = change.step(session, ids)
    if undo and before and changed:
        after = undo.part.lock(db, session, changed, now)
        _store(session, operation, {id_: (before[id_], after[id_]) for id_ in changed})
    return change, changed, len(found)


def _restore(
    db: Database,
    session: Session,
    operation: Operation,
    undone: Operation,
    rows: Sequence[Row[Any]],
    now: datetime,
) -> tuple[Change, Sequence[int], int]:
    """Restore the states of devices, except for those that have changed in the meantime."""
    undo = UNDOS[undone.kind]
    current = undo.part.lock(db, session, [row.device_id for row in rows], now)
    before: States = {
        row.device_id: row.before for row in rows if current.get(row.device_id) == row.after
    }
    change = undo.restore(db, operation.actor, now, before)
    change.records_each = operation.total <= MAX_ENTRIES
    _, changed = change.step(session, list(before))
    return change, changed, len(current)


def _store(session: Session, operation: Operation, changed: dict[int, Any]) -> None:
    row = _devices.c
    session.connection().execute(
        update(_devices)
        .where(row.operation_id == operation.id, row.device_id == bindparam("device"))
        .values(before=bindparam("old"), after=bindparam("new")),
        [
            {"device": device_id, "old": before, "new": after}
            for device_id, (before, after) in changed.items()
        ],
    )
