"""Run tasks over many rows in small batches."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Subquery,
    UpdateBase,
    and_,
    case,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.errors import APIDevicesError
from apidevices.models import UTCDateTime

BATCH = 100
"""Maximum rows to change in one transaction. On SQLite, a transaction with 500 rows held the write
lock three times as long."""

BATCH_BYTES = 4 * 1024 * 1024
"""Maximum bytes to delete in one transaction, unless a single row is larger."""

WINDOW = 10_000
"""Rows to read in one query when a whole table is read."""

ORDERED_WINDOW = 1_000
"""Rows to read in one query when rows become due in the order of their keys. If none of them is
due, the task is done."""

PAUSE = 0.02
"""Minimum seconds between two transactions. The pause also lasts at least twice as long as the
transaction, which leaves most of the time to requests."""

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
        change: Changes the rows that a condition selects, and returns their number. The condition
            locks the rows.
        days: After how many days rows are changed; 0 for never. None if the task isn't about age.
        is_ordered: Whether rows become due in the order of the key. Otherwise each run reads the
            whole table, so that it should run less often.
        start: Returns the key to start after.
        size: The size of a row in bytes, if rows may be large.
        record: Records in the transaction of a batch how many rows the run has changed so far.
            It is called with the session, what it returned for the batch before, the number and
            the time.
        setting: The name of the setting that says how long rows are kept.
        rows_in: The table whose rows it deletes, if that isn't the table of the key.
    """

    description: str
    key: ColumnElement[Any]
    due: Callable[[datetime], ColumnElement[bool]]
    change: Callable[[Session, ColumnElement[bool], datetime], int]
    days: int | None = None
    is_ordered: bool = False
    start: Callable[[datetime], int] = lambda _now: 0
    size: ColumnElement[int] | None = None
    record: Callable[[Session, int | None, int, datetime], int] | None = None
    setting: str | None = None
    rows_in: str | None = None

    @property
    def table(self) -> str:
        """The name of the table with the rows."""
        return self.rows_in or str(self.key.table.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to do that is more than changing single rows of a table.

    Attributes:
        description: What it does, for people.
        work: Does it in small transactions. Takes the database, the time, an event that ends it,
            and whether to change nothing. Returns the number of changed rows.
        days, setting: See ``Task``.
        is_ordered: Whether it may run every hour, rather than once a day.
    """

    description: str
    work: Callable[[Database, datetime, threading.Event, bool], int]
    days: int | None = None
    setting: str | None = None
    is_ordered: bool = False


class Result(NamedTuple):
    """How many rows a task has changed, or would change."""

    task: Task | Job
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
    tasks: Iterable[Task | Job],
    *,
    now: datetime,
    dry_run: bool = False,
    stop: threading.Event | None = None,
    essential: bool = True,
) -> list[Result]:
    """Run tasks one after the other, except those that keep their rows forever.

    Idempotent: an interrupted run is completed by the next one, and two at once do no harm.

    Args:
        db: The database.
        tasks: The tasks.
        now: The time of the database's clock.
        dry_run: Only count the rows.
        stop: Ends the run after the current transaction when it is set.
        essential: Whether the run may use the disk reserve: see ``Database.write``.
    """
    stop = stop or threading.Event()
    active = [task for task in tasks if task.days != 0]
    return [Result(task, _do(db, task, now, stop, essential, dry_run)) for task in active]


def _do(
    db: Database,
    task: Task | Job,
    now: datetime,
    stop: threading.Event,
    essential: bool,
    dry_run: bool,
) -> int:
    if isinstance(task, Job):
        return task.work(db, now, stop, dry_run)
    return _count(db, task, now) if dry_run else _run(db, task, now, stop, essential)


def _run(db: Database, task: Task, now: datetime, stop: threading.Event, essential: bool) -> int:
    rows, after, record_id = 0, task.start(now), None
    while not stop.is_set():
        started = monotonic()
        if keys := _find(db, task, now, after):
            after = keys[-1]
            with db.write(essential=essential) as session:
                changed = task.change(session, _rows(task, keys, now), now)
                if changed and task.record is not None:
                    record_id = task.record(session, record_id, rows + changed, now)
            rows += changed
        else:
            _, end = _count_window(db, task, now, after)
            if end is None or task.is_ordered:
                break
            after = end
        stop.wait(max(PAUSE, 2 * (monotonic() - started)))
    return rows


def _count(db: Database, task: Task, now: datetime) -> int:
    total, after = 0, task.start(now)
    while True:
        rows, end = _count_window(db, task, now, after)
        if end is None or (task.is_ordered and not rows):
            return total
        total, after = total + rows, end


def _find(db: Database, task: Task, now: datetime, after: int) -> list[int]:
    """Return the keys of the first due rows in the window after a key: one batch."""
    size = literal(0) if task.size is None else task.size
    window = _window(task, now, after, size.label("size"))
    due = select(window.c.key, window.c.size).where(window.c.due)
    with db.read() as session:
        found = session.execute(due.order_by(window.c.key).limit(BATCH)).all()
    return _first_bytes([(row.key, row.size) for row in found])


def _count_window(db: Database, task: Task, now: datetime, after: int) -> tuple[int, int | None]:
    """Return the number of due rows in the window after a key, and the last key of the window."""
    window = _window(task, now, after)
    due = func.count(case((window.c.due, 1)))
    with db.read() as session:
        rows, end = session.execute(select(due, func.max(window.c.key))).one()
    return rows, end


def _window(task: Task, now: datetime, after: int, *columns: ColumnElement[Any]) -> Subquery:
    rows = select(task.key.label("key"), task.due(now).label("due"), *columns)
    size = ORDERED_WINDOW if task.is_ordered else WINDOW
    return rows.where(task.key > after).order_by(task.key).limit(size).subquery()


def _first_bytes(found: Sequence[tuple[int, int]]) -> list[int]:
    """Return the first keys, as many as fit into a batch by their sizes."""
    keys: list[int] = []
    total = 0
    for key, size in found:
        total += size
        if keys and total > BATCH_BYTES:
            break
        keys.append(key)
    return keys


def _rows(task: Task, keys: Sequence[int], now: datetime) -> ColumnElement[bool]:
    """Return the condition for the due rows with these keys, which locks them.

    Rows that another transaction has locked stay for the next run: waiting could deadlock.
    """
    is_near = task.key.between(keys[0], keys[-1])  # a list of keys would take longer to process
    due = select(task.key).where(is_near, task.due(now)).correlate(None)
    locked = due.with_for_update(key_share=True, skip_locked=True)
    return and_(is_near, task.key.in_(locked))


def execute(session: Session, statement: UpdateBase) -> int:
    """Execute a statement that changes rows, and return their number."""
    # The session holds no objects that would have to be updated.
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return cast("CursorResult[Any]", result).rowcount
