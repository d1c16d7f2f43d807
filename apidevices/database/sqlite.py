"""SQLite: which version is safe, transactions that write, and rows of bulk statements as JSON."""

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    FromClause,
    String,
    Table,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from apidevices.database import backend
from apidevices.database.backend import Backend, Value, milliseconds

BUSY_RETRY_INTERVAL = 0.002
"""Seconds between two attempts to begin a write while another process writes: a write takes a few
times as long."""


class SqliteBackend(Backend):
    """SQLite has one writer at a time, so every write is exclusive and no row needs a lock."""

    begin_snapshot = "BEGIN"
    bulk_dialect = sqlite.dialect(paramstyle="named")

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        # Threads queue for this lock rather than poll for the lock of the file.
        self._writer = threading.Lock()

    @contextmanager
    def write(self, timeout: float | None, exclusive: bool) -> Iterator[Session]:
        """Open a session in a transaction that holds the lock of the file from its beginning."""
        if timeout is None:
            timeout = backend.LOCK_TIMEOUT
        deadline = time.monotonic() + timeout
        if not self._writer.acquire(timeout=timeout):
            raise PoolTimeoutError("other writes took too long")
        try:
            with Session(self.autocommit, expire_on_commit=False) as session:
                run = session.connection().exec_driver_sql
                run("PRAGMA busy_timeout = 0")
                try:
                    _begin_immediate(run, deadline)
                finally:
                    run(_set_busy_timeout())
                try:
                    yield session
                    session.flush()
                    run("COMMIT")
                except BaseException:
                    # SQLite may have rolled back already, or the connection is broken. Neither
                    # must hide the original error.
                    with suppress(SQLAlchemyError):
                        run("ROLLBACK")
                    raise
        finally:
            self._writer.release()

    def lock(self, connection: Connection, key: Any, ids: Collection[int]) -> None:
        """Do nothing: the transaction has locked the whole file."""

    def insert(self, table: Table) -> sqlite.Insert:
        """Return an INSERT that supports ``ON CONFLICT``."""
        return sqlite.insert(table)

    def bulk_table(self, columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
        """Return the table of rows that come as one JSON array of arrays."""
        rows = func.json_each(bindparam("new", type_=String)).table_valued("value")
        values = (
            # A literal, not a parameter: only the text of the statement is kept.
            func.json_extract(rows.c.value, literal_column(f"'$[{place}]'"), type_=kind).label(name)
            for place, (name, kind) in enumerate(columns.items())
        )
        # Materialized, because a statement uses each value more than once.
        return select(*values).cte("new").prefix_with("MATERIALIZED")

    def bulk_parameters(
        self, names: Sequence[str], rows: Sequence[Sequence[Value]]
    ) -> dict[str, str]:
        """Return the rows as one JSON array of arrays."""
        return {"new": json.dumps(rows, default=sqlite_time)}

    def after_fork(self) -> None:
        """Drop what belongs to the parent process, where the thread that holds the lock lives."""
        super().after_fork()
        self._writer = threading.Lock()


def _begin_immediate(run: Callable[[str], object], deadline: float) -> None:
    """Begin a transaction that writes, waiting for the writes of other processes.

    It takes the write lock at once: upgrading a read lock later fails if another process has
    written in between.
    """
    while True:
        try:
            run("BEGIN IMMEDIATE")
            return
        except OperationalError as error:
            if "locked" not in str(error.orig) or time.monotonic() > deadline:
                raise
        # SQLite's own busy handler sleeps for up to 0.1 s: a process that writes without a pause
        # would keep the others out for seconds.
        time.sleep(BUSY_RETRY_INTERVAL)


def _set_busy_timeout() -> str:
    return f"PRAGMA busy_timeout = {milliseconds(backend.LOCK_TIMEOUT)}"


def sqlite_time(moment: datetime) -> str:
    """Write a time as SQLite stores it: UTC, text that sorts by time."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(" ", "microseconds")[:26]


def engine_options() -> dict[str, Any]:
    """Return the arguments of ``create_engine`` that only SQLite takes."""
    return {"module": sqlite_module()}


def connect_statements() -> list[str]:
    """Return what to run on each new connection."""
    journal = "DELETE" if has_wal_race(sqlite_module().sqlite_version_info) else "WAL"
    return [
        _set_busy_timeout(),  # first, because the others may find the database busy
        f"PRAGMA journal_mode = {journal}",
        "PRAGMA synchronous = FULL",  # a commit that was answered survives a power cut
        "PRAGMA foreign_keys = ON",
    ]


def sqlite_module() -> ModuleType:
    """Return the DB-API module with the newest SQLite available."""
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        from sqlite3 import dbapi2
    return dbapi2  # type: ignore[no-any-return]  # pysqlite3 has no types


def has_wal_race(version: tuple[int, ...]) -> bool:
    """Tell whether a SQLite can corrupt a WAL database that several connections write.

    Source: sqlite.org/wal.html, "The WAL-Reset Bug": 3.7.0 to 3.51.2, fixed in two older branches.
    """
    fixed = (
        version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    )
    return not fixed


def sqlite_warning(engine: Engine) -> str | None:
    """Return a warning if the engine uses a SQLite that can corrupt a WAL database."""
    module = sqlite_module()
    if engine.dialect.name != "sqlite" or not has_wal_race(module.sqlite_version_info):
        return None
    return (
        f"SQLite {module.sqlite_version} can corrupt a database in WAL mode, so it is used with"
        " journal_mode=DELETE, which is slower. SQLite 3.51.3 or later is better."
    )
