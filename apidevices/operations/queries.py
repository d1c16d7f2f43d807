"""Read operations: their progress, and what an account can undo."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import exists, select
from sqlalchemy.orm import aliased

from apidevices import devices, listing
from apidevices.database import Database
from apidevices.devices import Chosen, Matching
from apidevices.models import MAX_ID, Device, Operation, OperationDevice
from apidevices.operations.storing import UNDO_TIME, OperationNotFound, is_undoable

_PREVIEWED = 5

_RECENT = 10
"""How many of an account's latest operations to look at."""


def get(db: Database, operation_id: int) -> Operation:
    """Return an operation.

    Raises:
        OperationNotFound: There is none with this id, or it is older than a day.
    """
    with db.read() as session:
        found = session.get(Operation, operation_id) if operation_id <= MAX_ID else None
    if found is None:
        raise OperationNotFound
    return found


def latest(db: Database, actor: str, now: datetime) -> Operation | None:
    """Return the latest operation of an account that is running or can be undone now, if any."""
    undoing = aliased(Operation)
    query = (
        select(Operation)
        .where(Operation.actor == actor, ~exists().where(undoing.undoes == Operation.id))
        .order_by(Operation.id.desc())
        .limit(_RECENT)
    )
    with db.read() as session:
        for operation in session.scalars(query):
            finished = operation.finished_at
            if finished is None or (is_undoable(operation) and now - UNDO_TIME < finished):
                return operation
    return None


def device_of(db: Database, operation: Operation) -> Device | None:
    """Return the device of an operation if it has changed a single one."""
    if operation.changed != 1:
        return None
    query = select(Device).join(OperationDevice, OperationDevice.device_id == Device.id)
    changed = OperationDevice.operation_id == operation.id, OperationDevice.before.is_not(None)
    with db.read() as session:
        return session.scalar(query.where(*changed).limit(1))


class Preview(NamedTuple):
    """The devices that an operation would change: how many, and the first few of the list."""

    number: int
    first: Sequence[Device]


def preview(db: Database, chosen: Chosen) -> Preview:
    """Return how many devices are chosen, exactly, and a few of them."""
    if isinstance(chosen, Matching):
        first = listing.page(db, chosen.filters).devices[:_PREVIEWED]
        return Preview(listing.count(db, chosen.filters), first)
    found = devices.by_ids(db, chosen)
    return Preview(len(found), found[:_PREVIEWED])
