"""The database as this package uses it, and every difference between SQLite and PostgreSQL."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from apidevices.processes import after_fork

PATIENCE = 3.0
"""Seconds that a write waits for others to end: threads that wait longer would be missing for
requests that only read."""


class Database:
    """An engine, with the two ways in which it is used: to read and to write."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._is_sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer at a time: threads wait for a lock rather than poll for the file's.
        self._writer = threading.Lock()
        after_fork(self._reset)

    def connect(self) -> Connection:
        """Return a connection without a transaction: each statement sees what is committed."""
        return self._autocommit.connect()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session without a transaction: each query sees what is committed by then."""
        with Session(self._autocommit, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, patience: float | None = None) -> Iterator[Session]:
        """Open a session in one transaction: durable when the block ends, undone if it raises.

        ``patience`` is how many seconds it may wait for other writes on SQLite, ``PATIENCE`` if
        not given.
        """
        if not self._is_sqlite:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
            return
        patience = PATIENCE if patience is None else patience
        deadline = time.monotonic() + patience
        if not self._writer.acquire(timeout=patience):
            raise PoolTimeoutError("other writes took too long")
        try:
            with Session(self._autocommit, expire_on_commit=False) as session:
                run = session.connection().exec_driver_sql
                run(f"PRAGMA busy_timeout = {_milliseconds(deadline - time.monotonic())}")
                try:
                    # Taking the write lock at once: a read lock that is raised to a write lock
                    # later can meet a change in between and must then fail.
                    run("BEGIN IMMEDIATE")
                    try:
                        yield session
                        session.flush()
                        run("COMMIT")
                    except BaseException:
                        run("ROLLBACK")
                        raise
                finally:
                    run(f"PRAGMA busy_timeout = {_milliseconds(PATIENCE)}")
        finally:
            self._writer.release()

    def insert(self, table: Any) -> "sqlite.Insert | postgresql.Insert":
        """Return an INSERT that knows ``ON CONFLICT``."""
        target: Table = getattr(table, "__table__", table)
        return sqlite.insert(target) if self._is_sqlite else postgresql.insert(target)

    def _reset(self) -> None:
        # Connections belong to the parent process, and the thread that holds the lock is there.
        self.engine.dispose(close=False)
        self._writer = threading.Lock()


def is_unavailable(error: Exception) -> bool:
    """Tell whether an error says that the database can't be asked, rather than what was asked."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return True
    if type(error) is DatabaseError:  # none of its kinds: the file itself is damaged
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def sqlite_module() -> ModuleType:
    """Return the DB-API module with the newest SQLite that can be had."""
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        from sqlite3 import dbapi2
    return dbapi2  # type: ignore[no-any-return]  # pysqlite3 has no types


def engine_options(url: URL, threads: int) -> dict[str, Any]:
    """Return what ``create_engine`` needs to know to serve so many threads."""
    options = {
        "hide_parameters": True,  # an error in the log tells no secret
        "pool_size": threads,
        # A page has a connection for who is signed in, and one for what it shows.
        "max_overflow": threads + 2,
    }
    if url.get_backend_name() == "sqlite":
        return {**options, "module": sqlite_module()}
    return {**options, "pool_pre_ping": True}


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def has_wal_race(version: tuple[int, ...]) -> bool:
    """Tell whether a SQLite can corrupt a WAL database that several connections write.

    Source: sqlite.org/wal.html, "The WAL-Reset Bug": 3.7.0 to 3.51.2, backported to two branches.
    """
    fixed = (
        version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    )
    return not fixed


def sqlite_warning(engine: Engine) -> str | None:
    """Say what is wrong with the SQLite that an engine uses, if anything is."""
    module = sqlite_module()
    if engine.dialect.name != "sqlite" or not has_wal_race(module.sqlite_version_info):
        return None
    return (
        f"SQLite {module.sqlite_version} can corrupt a database in WAL mode, so it is used with"
        " journal_mode=DELETE, which is slower. SQLite 3.51.3 or later is better."
    )


def prepare_sqlite(engine: Engine) -> None:
    """Make each connection of an engine safe and quick; does nothing for other databases."""
    if engine.dialect.name != "sqlite":
        return
    journal = "DELETE" if has_wal_race(sqlite_module().sqlite_version_info) else "WAL"

    def on_connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in (
            # First, as the others can meet a busy database.
            f"busy_timeout = {_milliseconds(PATIENCE)}",
            f"journal_mode = {journal}",
            "synchronous = FULL",  # a commit that was answered survives a power cut
            "foreign_keys = ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "connect", on_connect)
