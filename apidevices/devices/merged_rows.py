"""Move rows of a device to the one that it is merged into, and add up those of both."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from sqlalchemy import case, exists, func, literal, select, update
from sqlalchemy.orm import Session, aliased

from apidevices.database import Database
from apidevices.devices.tags import MAX_TAGS
from apidevices.errors import Conflict
from apidevices.models import (
    DeviceAlias,
    DeviceDay,
    DeviceDenials,
    DeviceHistory,
    DeviceMark,
    DeviceTag,
    DeviceToken,
)

Move = Callable[[Session, int, int], object]
"""Moves the rows of an application's own table to another device, in the transaction of a merge.

Called with the session, the id of the device that is merged, and the id of the other one. Both are
locked."""

Sums = Callable[[Any, Any], Mapping[str, Any]]
"""Returns what to set in a row that both devices have, from that row and the added one."""


def moves(db: Database) -> Iterator[Move]:
    """Yield what moves the rows of the extension's tables, other than tags."""
    yield partial(_move, DeviceHistory)
    yield partial(_move, DeviceAlias)
    yield _move_marks
    yield partial(_add, db, DeviceToken, "token_id", _tokens)
    yield partial(_add, db, DeviceDay, "day", _days)
    yield partial(_add, db, DeviceDenials, "day", _denials)


def move_tags(session: Session, device_id: int, into_id: int) -> list[str]:
    """Move tags that only the merged device has, and return them.

    Raises:
        Conflict: The device would have too many.
    """
    row, connection = DeviceTag, session.connection()
    moved = connection.execute(
        update(row)
        .where(
            row.device_id == device_id,
            row.key.not_in(select(row.key).where(row.device_id == into_id)),
        )
        .values(device_id=into_id)
        .returning(row.tag)
    )
    tags = sorted(moved.scalars(), key=str.casefold)
    number = select(func.count()).select_from(row).where(row.device_id == into_id)
    if connection.scalars(number).one() > MAX_TAGS:
        raise Conflict(f"Together, both devices have more than {MAX_TAGS} tags. Remove some first.")
    return tags


def _move(row: Any, session: Session, device_id: int, into_id: int) -> None:
    move = update(row).where(row.device_id == device_id).values(device_id=into_id)
    session.connection().execute(move)


def _move_marks(session: Session, device_id: int, into_id: int) -> None:
    """Move marks, except for those of this very pair, and those that the device has already."""
    mark, known = DeviceMark, aliased(DeviceMark)
    is_known = exists().where(
        known.device_id == into_id,
        known.kind == mark.kind,
        func.coalesce(known.other_id, 0) == func.coalesce(mark.other_id, 0),
    )
    is_other = exists().where(
        known.device_id == mark.device_id, known.kind == mark.kind, known.other_id == into_id
    )
    connection = session.connection()
    connection.execute(
        update(mark)
        .where(mark.device_id == device_id, func.coalesce(mark.other_id, 0) != into_id, ~is_known)
        .values(device_id=into_id)
    )
    connection.execute(
        update(mark)
        .where(mark.other_id == device_id, mark.device_id != into_id, ~is_other)
        .values(other_id=into_id)
    )


def _add(
    db: Database, row: Any, key: str, sums: Sums, session: Session, device_id: int, into_id: int
) -> None:
    """Copy rows, and add up those that both devices have. ``key`` is the rest of the key."""
    columns = [column for column in row.__table__.columns if column.name != "device_id"]
    copied = select(literal(into_id, row.device_id.type), *columns)
    insert = db.insert(row).from_select(
        [row.device_id, *columns], copied.where(row.device_id == device_id)
    )
    session.connection().execute(
        insert.on_conflict_do_update(
            index_elements=["device_id", key], set_=sums(row, insert.excluded)
        )
    )


def _tokens(row: Any, added: Any) -> Mapping[str, Any]:
    is_earlier, is_later = (
        added.first_used_at < row.first_used_at,
        added.last_used_at > row.last_used_at,
    )
    return {
        "first_used_at": case((is_earlier, added.first_used_at), else_=row.first_used_at),
        "last_used_at": case((is_later, added.last_used_at), else_=row.last_used_at),
    }


def _days(row: Any, added: Any) -> Mapping[str, Any]:
    return {"requests": row.requests + added.requests, "uploads": row.uploads + added.uploads}


def _denials(row: Any, added: Any) -> Mapping[str, Any]:
    is_earlier, is_later = added.first_at < row.first_at, added.last_at > row.last_at
    last = {
        name: case((is_later, added[name]), else_=getattr(row, name))
        for name in ("last_at", "address", "token_id")
    }
    first_at = case((is_earlier, added.first_at), else_=row.first_at)
    return {"denied": row.denied + added.denied, "first_at": first_at, **last}
