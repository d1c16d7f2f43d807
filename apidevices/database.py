"""The database as this package uses it: reading and writing, the same on SQLite and PostgreSQL."""

import json
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Engine,
    FromClause,
    String,
    Table,
    UpdateBase,
    bindparam,
    column,
    create_engine,
    event,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import TypeEngine

from apidevices.errors import ConfigError
from apidevices.processes import after_fork

Value = datetime | int | None

PATIENCE = 3.0
"""Seconds that a write waits for others to end: threads that wait longer would be missing for
requests that only read."""

_SET_PATIENCE = text("SELECT set_config('lock_timeout', :patience, true)")
_WAIT_TO_BE_ALONE = select(func.pg_advisory_xact_lock(int.from_bytes(b"apidevic")))
_CANT_SERVE = (
    "25006",  # read_only_sql_transaction: another server has taken its place
    "42P01",  # undefined_table: not migrated yet
)

_DRIVER = "psycopg"
_POOL_SIZE = 10
"""Connections that an engine of our own keeps open; it opens more while it needs them."""

_POLL = 0.002
"""Seconds between two looks whether another process still writes to SQLite: a write takes a few
times as long."""


class Database:
    """An engine, with the two ways in which it is used: to read and to write."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self.is_sqlite = engine.dialect.name == "sqlite"
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
    def snapshot(self) -> Iterator[Session]:
        """Open a session that only reads, and in which each query sees the same."""
        with self.read() as session:
            if isinstance(self.engine.pool, StaticPool):
                yield session  # on the one connection that everybody has
                return
            run = session.connection().exec_driver_sql
            run("BEGIN" if self.is_sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield session
            finally:
                run("ROLLBACK")

    @contextmanager
    def write(self, patience: float | None = None, *, alone: bool = False) -> Iterator[Session]:
        """Open a session in one transaction: durable when the block ends, undone if it raises.

        Args:
            patience: seconds that it may wait for other writes; ``PATIENCE`` if not given.
            alone: wait for any other that wants to be alone, and let it wait; on SQLite each
                write is alone.
        """
        if not self.is_sqlite:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                if patience is not None:
                    session.execute(_SET_PATIENCE, {"patience": f"{_milliseconds(patience)}ms"})
                if alone:
                    session.execute(_WAIT_TO_BE_ALONE)
                yield session
            return
        patience = PATIENCE if patience is None else patience
        deadline = time.monotonic() + patience
        if not self._writer.acquire(timeout=patience):
            raise PoolTimeoutError("other writes took too long")
        try:
            with Session(self._autocommit, expire_on_commit=False) as session:
                run = session.connection().exec_driver_sql
                run("PRAGMA busy_timeout = 0")
                try:
                    _begin(run, deadline)
                finally:
                    run(f"PRAGMA busy_timeout = {_milliseconds(PATIENCE)}")
                try:
                    yield session
                    session.flush()
                    run("COMMIT")
                except BaseException:
                    run("ROLLBACK")
                    raise
        finally:
            self._writer.release()

    def insert(self, table: Any) -> "sqlite.Insert | postgresql.Insert":
        """Return an INSERT that knows ``ON CONFLICT``."""
        target: Table = getattr(table, "__table__", table)
        return sqlite.insert(target) if self.is_sqlite else postgresql.insert(target)

    def lock(self, connection: Connection, key: Any, ids: Collection[int]) -> None:
        """Lock rows until the transaction ends, in one order whoever does: nobody deadlocks."""
        if self.is_sqlite or not ids:
            return  # who writes is alone
        wanted = bindparam("ids", sorted(ids), ARRAY(BigInteger))
        query = select(key).where(key == func.any(wanted)).order_by(key)
        connection.execute(query.with_for_update(key_share=True)).all()

    def _reset(self) -> None:
        # Connections belong to the parent process, and the thread that holds the lock is there.
        self.engine.dispose(close=False)
        self._writer = threading.Lock()


class Many:
    """A statement that is run for many rows at once, in one round trip.

    SQLite gets the rows as JSON, PostgreSQL each column as an array. Both are text, and one call of
    the driver: the thread that writes must not keep the threads that answer requests from running,
    and one call a row would make it wait for them at each.

    Args:
        db: where it will run.
        make: makes the statement, given the columns of a table of the rows.
        columns: the type of each column; times and numbers only.
    """

    def __init__(
        self, db: Database, make: Callable[[Any], UpdateBase], **columns: TypeEngine[Any]
    ) -> None:
        self._is_sqlite = db.is_sqlite
        self._names = list(columns)
        new = _json_table(columns) if db.is_sqlite else _array_table(columns)
        dialect = sqlite.dialect(paramstyle="named") if db.is_sqlite else db.engine.dialect
        self._sql = str(make(new.c).compile(dialect=dialect))

    def run(self, connection: Connection, rows: Sequence[Sequence[Value]]) -> None:
        """Run it for rows of values, each in the order of the columns."""
        if not rows:
            return
        if self._is_sqlite:
            values = {"new": json.dumps(rows, default=sqlite_time)}
        else:
            arrays = map(_array, zip(*rows, strict=True))
            values = dict(zip(self._names, arrays, strict=True))
        connection.exec_driver_sql(self._sql, values)


def _json_table(columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
    """Return the table of rows that come as one array of arrays."""
    rows = func.json_each(bindparam("new", type_=String)).table_valued("value")
    values = (
        # A literal, not a parameter: the text of the statement is all that is kept.
        func.json_extract(rows.c.value, literal_column(f"'$[{place}]'"), type_=kind).label(name)
        for place, (name, kind) in enumerate(columns.items())
    )
    # Each value is used more than once, and is to be read once.
    return select(*values).cte("new").prefix_with("MATERIALIZED")


def _array_table(columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
    """Return the table of rows that come as an array a column."""
    arrays = (bindparam(name, type_=ARRAY(kind)) for name, kind in columns.items())
    rows = func.unnest(*arrays).table_valued(
        *(column(name, kind) for name, kind in columns.items()), name="new"
    )
    return rows.render_derived()


def _array(values: Iterable[Value]) -> str:
    """Write an array as PostgreSQL reads it."""
    texts = ("NULL" if value is None else str(value) for value in values)
    return f"{{{','.join(texts)}}}"


def sqlite_time(moment: datetime) -> str:
    """Write a time as it is stored on SQLite: UTC, in the order of the text."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(" ", "microseconds")[:26]


def _begin(run: Callable[[str], object], deadline: float) -> None:
    """Begin a transaction that writes; SQLite has one of these at a time.

    It takes the write lock at once: a read lock that is raised to a write lock later can meet a
    change in between and must then fail.
    """
    while True:
        try:
            run("BEGIN IMMEDIATE")
            return
        except OperationalError as error:
            if "locked" not in str(error.orig) or time.monotonic() > deadline:
                raise
        # SQLite's own patience sleeps for 0.1 s at a time: a process that writes without a pause
        # would keep the others out for seconds.
        time.sleep(_POLL)


def is_unavailable(error: Exception) -> bool:
    """Tell whether an error says that the database can't be asked, rather than what was asked."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return True
    if type(error) is DatabaseError:  # none of its kinds: the file itself is damaged
        return True
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _CANT_SERVE


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
    return {
        **options,
        "pool_pre_ping": True,
        # A server that went away without a word is found out in seconds, not in a quarter of an
        # hour; what the URL says of these goes first.
        "connect_args": {
            name: value
            for name, value in {
                "connect_timeout": round(PATIENCE),
                "tcp_user_timeout": _milliseconds(PATIENCE),
                "keepalives_idle": 10,
                "keepalives_interval": 2,
                "keepalives_count": 3,
            }.items()
            if name not in url.query
        },
    }


def engine_for(source: Engine | URL | str) -> Engine:
    """Return an engine that can be used: the one that was given, or one of our own for a URL.

    An engine of PostgreSQL by way of another driver gets one of our own beside it.

    Raises:
        ConfigError: it is neither SQLite nor PostgreSQL.
    """
    if isinstance(source, Engine):
        if source.dialect.name == "sqlite" or source.dialect.driver == _DRIVER:
            # What else listens may leave a transaction open, in which nothing new would be seen.
            event.listen(source, "connect", lambda connection, _record: connection.rollback())
            return source
        source = source.url
    try:
        url = make_url(source)
    except ArgumentError:
        raise ConfigError("db: this is not a database URL") from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ConfigError(f"db: the database is SQLite or PostgreSQL, not {backend}")
    if backend == "postgresql":
        url = url.set(drivername=f"postgresql+{_DRIVER}")
    engine = create_engine(url, **engine_options(url, _POOL_SIZE))
    prepare(engine)
    return engine


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


def prepare(engine: Engine) -> None:
    """Make each connection of an engine safe and quick, and let no write wait without end."""
    if engine.dialect.name == "sqlite":
        journal = "DELETE" if has_wal_race(sqlite_module().sqlite_version_info) else "WAL"
        statements = [
            # First, as the others can meet a busy database.
            f"PRAGMA busy_timeout = {_milliseconds(PATIENCE)}",
            f"PRAGMA journal_mode = {journal}",
            "PRAGMA synchronous = FULL",  # a commit that was answered survives a power cut
            "PRAGMA foreign_keys = ON",
        ]
    else:
        statements = [f"SET lock_timeout = {_milliseconds(PATIENCE)}"]

    def on_connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        connection.commit()  # or the setting would be gone with the transaction

    event.listen(engine, "connect", on_connect)
