"""Run tasks over many rows in small batches."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Subquery, func, literal, select, type_coerce
from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.errors import APIDevicesError
from apidevices.models import UTCDateTime

BATCH = 500
"""Maximum rows to change in one transaction."""

BATCH_BYTES = 4 * 1024 * 1024
"""Maximum bytes to delete in one transaction, unless a single row is larger."""

WINDOW = 10_000
"""Rows to read in one query. A window of rows in the order of their age in which none is due ends
the search."""

PAUSE = 0.05
"""Minimum seconds between two transactions. The pause also lasts at least twice as long as the
transaction, which leaves most of the time to requests."""

NO_OBJECTS = {"synchronize_session": False}
"""Execution options of statements that change rows: the session holds no objects to update."""

_EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)  # before the first version of API Devices


class ClockWrong(APIDevicesError):
    """The database's clock is obviously wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Something to do with rows of one table.

    Attributes:
        description: What it does, for people, such as ``"Delete history entries"``.
        key: An indexed integer column to walk along.
        due: Returns the condition for the rows to change at a given time.
        change: Changes the rows with these keys, which it may assume to be locked and due.
        days: For how many days rows are kept; 0 to keep them for ever. None if the task isn't
            about age.
        is_ordered: Whether rows become due in the order of the key. Otherwise each run reads the
            whole table, so that it should run less often.
        start: Returns the key to start after.
        size: The size of a row in bytes, if rows may be large.
    """

    description: str
    key: ColumnElement[Any]
    due: Callable[[datetime], ColumnElement[bool]]
    change: Callable[[Session, Sequence[int], datetime], object]
    days: int | None = None
    is_ordered: bool = False
    start: Callable[[datetime], int] = lambda _now: 0
    size: ColumnElement[int] | None = None


class Result(NamedTuple):
    """How many rows a task has changed, or would change."""

    task: Task
    rows: int


def database_time(db: Database) -> datetime:
    """Return the time of the database's clock.

    Raises:
        ClockWrong: The clock shows a time before the first version of API Devices.
    """
    with db.read() as session:
        now = session.scalars(select(type_coerce(db.backend.now(), UTCDateTime()))).one()
    if now < _EARLIEST:
        raise ClockWrong(f"The database's clock is wrong: it shows {now:%Y-%m-%d}. Set the clock.")
    return now


def run(
    db: Database,
    tasks: Iterable[Task],
    *,
    now: datetime,
    dry_run: bool = False,
    stop: threading.Event | None = None,
) -> list[Result]:
    """Run tasks one after the other, except those that keep their rows for ever.

    Idempotent: an interrupted run is completed by the next one, and two at once do no harm.

    Args:
        db: The database.
        tasks: The tasks.
        now: The time of the database's clock.
        dry_run: Only count the rows.
        stop: Ends the run after the current transaction when it is set.
    """
    stop = stop or threading.Event()
    return [Result(task, _run(db, task, now, dry_run, stop)) for task in tasks if task.days != 0]


def _run(db: Database, task: Task, now: datetime, dry_run: bool, stop: threading.Event) -> int:
    rows, after = 0, task.start(now)
    while not stop.is_set():
        started = monotonic()
        found = _find(db, task, now, after, WINDOW if dry_run else BATCH)
        if found:
            keys = [key for key, _ in found] if dry_run else _first_bytes(found)
            after = keys[-1]
            if dry_run:
                rows += len(keys)
                continue
            with db.write() as session:
                rows += _change(session, task, keys, now)
        else:
            end = None if task.is_ordered else _end_of_window(db, task, after)
            if end is None:
                break
            after = end
        stop.wait(max(PAUSE, 2 * (monotonic() - started)))
    return rows


def _find(
    db: Database, task: Task, now: datetime, after: int, limit: int
) -> Sequence[tuple[int, int]]:
    """Return the keys and sizes of the first due rows in the window after a key."""
    size = literal(0) if task.size is None else task.size
    window = _window(task, after, task.due(now).label("due"), size.label("size"))
    due = select(window.c.key, window.c.size).where(window.c.due)
    with db.read() as session:
        found = session.execute(due.order_by(window.c.key).limit(limit)).all()
        return [(row.key, row.size) for row in found]


def _end_of_window(db: Database, task: Task, after: int) -> int | None:
    """Return the last key of the window after a key, or None if it is empty."""
    with db.read() as session:
        end: int | None = session.scalar(select(func.max(_window(task, after).c.key)))
    return end


def _window(task: Task, after: int, *columns: ColumnElement[Any]) -> Subquery:
    rows = select(task.key.label("key"), *columns).where(task.key > after)
    return rows.order_by(task.key).limit(WINDOW).subquery()


def _first_bytes(found: Sequence[tuple[int, int]]) -> list[int]:
    """Return the first keys, as many as fit into a batch by their sizes, and at least one."""
    keys: list[int] = []
    total = 0
    for key, size in found:
        total += size
        if keys and total > BATCH_BYTES:
            break
        keys.append(key)
    return keys


def _change(session: Session, task: Task, keys: Sequence[int], now: datetime) -> int:
    # Rows that another transaction has locked stay for the next run: waiting could deadlock.
    query = select(task.key).where(task.key.in_(keys), task.due(now)).order_by(task.key)
    locked = session.scalars(query.with_for_update(key_share=True, skip_locked=True)).all()
    if locked:
        task.change(session, locked, now)
    return len(locked)
