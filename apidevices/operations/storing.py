"""Begin operations, record what has been done, and undo it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from sqlalchemy import insert, literal, select
from sqlalchemy.orm import Session

from apidevices.database import Database, retried_with_reserve
from apidevices.devices import Chosen, Matching, ids_of
from apidevices.devices.changes import Check
from apidevices.errors import Conflict, NotFound
from apidevices.models import Device, Operation, OperationDevice
from apidevices.operations import steps
from apidevices.operations.kinds import CHANGES, UNDOS, Arguments

SMALL = 500
"""Up to this many devices are changed at once, in one transaction."""

UNDO_TIME = timedelta(minutes=1)
"""For how long an operation can be undone after it has finished."""

_GRACE = timedelta(seconds=10)
"""How much later a request to undo may arrive than the page offered it."""


class OperationNotFound(NotFound):
    """The operation does not exist."""

    def __init__(self) -> None:
        super().__init__("This change is not known any more. Changes are kept for a day.")


class CannotUndo(Conflict):
    """The operation can't be undone, or not any more."""


class _DeviceChange(Protocol):
    def __call__(self, *, actor: str, now: datetime, check: Check) -> Device: ...


class Recorded(NamedTuple):
    """A changed device, and the id of the operation that can undo the change, if there is any."""

    device: Device
    operation_id: int | None


def begin(
    db: Database, kind: str, chosen: Chosen, *, arguments: Arguments, actor: str, now: datetime
) -> Operation:
    """Store an operation with its devices, and complete it if there are up to ``SMALL`` devices.

    Args:
        db: The database.
        kind: The name of a kind of operation for many devices.
        chosen: The devices. Ids that belong to no device are counted as missing.
        arguments: The arguments of the kind.
        actor: Who changes the devices.
        now: The current time.

    Raises:
        Conflict: The filters match another number of devices than expected. Nothing is changed.
    """
    operation, step = _begin(db, kind, chosen, arguments, actor, now)
    if step is not None:
        step.complete()
    return operation


@retried_with_reserve
def _begin(
    db: Database, kind: str, chosen: Chosen, arguments: Arguments, actor: str, now: datetime
) -> tuple[Operation, steps.Step | None]:
    stored = dict(arguments)
    if isinstance(chosen, Matching):
        filters = chosen.filters
        if kind == "delete":  # the search text may be a name or an identifier
            filters = filters.model_copy(update={"name": ""})
        stored["filter"] = filters.model_dump(mode="json", exclude_defaults=True)
    with db.write() as session:
        ids = ids_of(session, chosen)
        if problem := CHANGES[kind](db, actor, now, arguments).problem(session, ids):
            raise problem
        operation = _add(session, kind, stored, len(ids), actor, now)
        rows = db.id_list(ids).subquery()
        [device_id] = rows.c
        session.connection().execute(
            insert(OperationDevice).from_select(
                ["operation_id", "device_id"], select(literal(operation.id), device_id)
            )
        )
        return operation, _first_step(db, session, operation, now)


def record(
    db: Database, kind: str, change: _DeviceChange, *, actor: str, now: datetime
) -> Recorded:
    """Change one device, and record that as an operation, so that it can be undone.

    Args:
        db: The database.
        kind: The name of a kind of operation that can be undone.
        change: Changes the device, and returns it: a function of ``devices``, except for its
            arguments ``actor``, ``now`` and ``check``.
        actor: Who changes the device.
        now: The current time.
    """
    part = UNDOS[kind].part
    before: list[dict[str, Any]] = []

    def remember(device: Device) -> None:
        before[:] = [part.of(device)]

    device = change(actor=actor, now=now, check=remember)
    # What the change has left, even if another one has followed.
    after = part.of(device)
    if before == [after]:
        return Recorded(device, None)
    with db.write() as session:
        row = select(Device.id).where(Device.id == device.id).with_for_update(key_share=True)
        if session.scalar(row) is None:  # deleted: nothing may be stored about it any more
            return Recorded(device, None)
        operation = _add(session, kind, {}, 1, actor, now)
        operation.changed, operation.finished_at = 1, now
        states = {"before": before[0], "after": after}
        session.add(OperationDevice(operation_id=operation.id, device_id=device.id, **states))
        return Recorded(device, operation.id)


def undo(db: Database, operation_id: int, *, actor: str, now: datetime) -> Operation:
    """Begin to undo an operation: restore the devices that are still as it has left them.

    Raises:
        OperationNotFound: There is no such operation of this actor.
        CannotUndo: It has been undone, it can't be, or it is too late.
    """
    operation, step = _begin_undo(db, operation_id, actor, now)
    if step is not None:
        step.complete()
    return operation


@retried_with_reserve
def _begin_undo(
    db: Database, operation_id: int, actor: str, now: datetime
) -> tuple[Operation, steps.Step | None]:
    with db.write() as session:
        undone = session.get(Operation, operation_id, with_for_update=True)
        if undone is None or undone.actor != actor:
            raise OperationNotFound
        if session.scalar(select(Operation.id).where(Operation.undoes == operation_id)):
            raise CannotUndo("This change has already been undone.")
        if undone.finished_at is None or not is_undoable(undone):
            raise CannotUndo("This change can't be undone.")
        if now > undone.finished_at + UNDO_TIME + _GRACE:
            raise CannotUndo("It is too late to undo this change: that is possible for a minute.")
        operation = _add(session, "undo", {}, undone.changed, actor, now)
        operation.undoes = undone.id
        return operation, _first_step(db, session, operation, now)


def is_undoable(operation: Operation) -> bool:
    """Return whether an operation is of a kind that can be undone, and has changed anything."""
    return operation.kind in UNDOS and operation.changed > 0


def _add(
    session: Session,
    kind: str,
    arguments: Mapping[str, Any],
    total: int,
    actor: str,
    now: datetime,
) -> Operation:
    operation = Operation(
        kind=kind,
        arguments=arguments,
        total=total,
        changed=0,
        unchanged=0,
        position=0,
        actor=actor,
        created_at=now,
    )
    session.add(operation)
    session.flush()
    return operation


def _first_step(
    db: Database, session: Session, operation: Operation, now: datetime
) -> steps.Step | None:
    """Run an operation with few devices. Others begin in the background."""
    if operation.total > SMALL:
        return None
    return steps.advance(db, session, operation, SMALL + 1, now)
