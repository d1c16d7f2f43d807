"""The SQLite backend: safe versions, write transactions, and bulk statements with JSON."""

import json
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from types import ModuleType
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Select,
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
from apidevices.database.files import sqlite_file

logger = logging.getLogger(__name__)

BUSY_RETRY_INTERVAL = 0.002
"""Seconds between attempts to begin a write while another process is writing. A write takes a few
times as long."""


class SqliteBackend(Backend):
    """SQLite allows one writer at a time, so every write is exclusive and needs no row locks."""

    begin_snapshot = "BEGIN"
    bulk_dialect = sqlite.dialect(paramstyle="named")

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        # Threads of this process queue for this lock, which is faster than polling the file lock.
        self._write_lock = threading.Lock()

    @contextmanager
    def write(self, timeout: float | None, exclusive: bool) -> Iterator[Session]:
        """Open a session in a transaction that holds the file's write lock from the start."""
        if timeout is None:
            timeout = backend.LOCK_TIMEOUT
        deadline = time.monotonic() + timeout
        if not self._write_lock.acquire(timeout=timeout):
            raise PoolTimeoutError("timed out waiting for other writes")
        try:
            with Session(self.autocommit, expire_on_commit=False) as session:
                run = session.connection().exec_driver_sql
                run("PRAGMA busy_timeout = 0")
                try:
                    _begin_immediate(run, deadline)
                finally:
                    run(_busy_timeout_statement())
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
            self._write_lock.release()

    def make_exclusive(self, session: Session) -> None:
        """Do nothing: every write is exclusive."""

    def lock(self, connection: Connection, key: Any, ids: Collection[int]) -> None:
        """Do nothing: the transaction has already locked the whole file."""

    def id_list(self, ids: Collection[int]) -> Select[Any]:
        """Return a query for these ids, which reads them from a JSON array."""
        return select(func.json_each(json.dumps(list(ids))).table_valued("value").c.value)

    def insert(self, table: Table) -> sqlite.Insert:
        """Return an INSERT that supports ``ON CONFLICT``."""
        return sqlite.insert(table)

    def now(self, ahead: timedelta = timedelta()) -> ColumnElement[Any]:
        """Return the time of this process's clock, as it is stored."""
        seconds = f"{ahead.total_seconds():+.0f} seconds"
        return literal_column(f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '{seconds}')")

    def time_text(self, moment: datetime) -> str:
        """Format a time as it is stored."""
        return sqlite_time(moment)

    def bulk_table(self, columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
        """Return a table expression over one JSON array of rows."""
        rows = func.json_each(bindparam("new", type_=String)).table_valued("value")
        values = (
            # A literal, because BulkStatement keeps the SQL only and would lose a bound value.
            func.json_extract(rows.c.value, literal_column(f"'$[{index}]'"), type_=kind).label(name)
            for index, (name, kind) in enumerate(columns.items())
        )
        # Materialized, so that values used more than once are extracted only once.
        return select(*values).cte("new").prefix_with("MATERIALIZED")

    def bulk_parameters(
        self, names: Sequence[str], rows: Sequence[Sequence[Value]]
    ) -> dict[str, str]:
        """Return the rows as one JSON array."""
        return {"new": json.dumps(rows)}

    def reads_hold_up_writes(self, session: Session) -> bool:
        """Return whether the file is in a journal mode in which reads and writes exclude others."""
        return session.connection().exec_driver_sql("PRAGMA journal_mode").scalar() != "wal"

    def run_calmly(self, session: Session) -> None:
        """Do nothing: a query runs on one core."""

    def after_fork(self) -> None:
        """Drop connections and the lock, which a thread of the parent process may hold."""
        super().after_fork()
        self._write_lock = threading.Lock()


def _begin_immediate(run: Callable[[str], object], deadline: float) -> None:
    """Begin a write transaction, waiting for writes of other processes.

    Take the write lock immediately: upgrading a read lock later fails if another process has
    written in the meantime.
    """
    while True:
        try:
            run("BEGIN IMMEDIATE")
            return
        except OperationalError as error:
            if "locked" not in str(error.orig) or time.monotonic() > deadline:
                raise
        # SQLite's busy handler sleeps for up to 0.1 s between attempts. A process that writes
        # continuously would starve the others for seconds.
        time.sleep(BUSY_RETRY_INTERVAL)


def _busy_timeout_statement() -> str:
    return f"PRAGMA busy_timeout = {milliseconds(backend.LOCK_TIMEOUT)}"


def sqlite_time(moment: datetime) -> str:
    """Format a time as it is stored in SQLite: in UTC, as text that sorts chronologically."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(" ", "microseconds")[:26]


def engine_options() -> dict[str, Any]:
    """Return the ``create_engine`` arguments that are specific to SQLite."""
    return {"module": sqlite_module()}


def on_connect(connection: Any, _record: Any) -> None:
    """Configure a new connection."""
    journal = "DELETE" if has_wal_reset_bug(sqlite_module().sqlite_version_info) else "WAL"
    cursor = connection.cursor()
    for statement in (
        _busy_timeout_statement(),  # first, because the other statements may find the database busy
        f"PRAGMA journal_mode = {journal}",
        "PRAGMA synchronous = FULL",  # acknowledged commits survive a power failure
        "PRAGMA foreign_keys = ON",
    ):
        cursor.execute(statement)
    cursor.close()
    connection.commit()


def sqlite_module() -> ModuleType:
    """Return the DB-API module: ``pysqlite3``, which has a newer SQLite, or else ``sqlite3``."""
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        from sqlite3 import dbapi2
    return dbapi2  # type: ignore[no-any-return]  # pysqlite3 has no types


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Return whether a SQLite version can corrupt a WAL database with concurrent writers.

    Source: sqlite.org/wal.html, "The WAL-Reset Bug". Affects 3.7.0 to 3.51.2; fixed in 3.51.3 and
    backported to 3.50.7 and 3.44.6.
    """
    fixed = (
        version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    )
    return not fixed


def check_journal_mode(engine: Engine, connection: Any) -> None:
    """Log a warning if a database file is not in WAL mode and there is a safe way to change that.

    Each process logs it at most once for each file.

    Args:
        engine: The engine, which may belong to the host application and use another SQLite.
        connection: One of its driver connections.
    """
    file, driver = sqlite_file(engine.url), engine.dialect.dbapi
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if file is None or driver is None or mode == "wal":
        return
    advice = []
    if not has_wal_reset_bug(driver.sqlite_version_info):
        advice.append("run 'PRAGMA journal_mode=WAL' on it once")
    if not has_wal_reset_bug(sqlite_module().sqlite_version_info):
        advice.append(
            "give API Devices its own file, as in"
            " APIDevices(db='sqlite:////var/lib/shop/devices.sqlite3')"
        )
    if advice:
        _warn_about_journal_mode(str(file), mode, ", or ".join(advice))


@cache
def _warn_about_journal_mode(file: str, mode: str, advice: str) -> None:
    logger.warning(
        "The SQLite database %s is in journal mode %s. Tracked requests take longer than in WAL"
        " mode, and wait while anything is written. To change that, %s.",
        file,
        mode,
        advice,
    )


def sqlite_warning(engine: Engine) -> str | None:
    """Return a warning if the engine's SQLite version can corrupt a WAL database, else None."""
    module = sqlite_module()
    if engine.dialect.name != "sqlite" or not has_wal_reset_bug(module.sqlite_version_info):
        return None
    return (
        f"SQLite {module.sqlite_version} can corrupt a database in WAL mode. API Devices uses the"
        " slower journal_mode=DELETE instead. Upgrade to SQLite 3.51.3 or later."
    )
