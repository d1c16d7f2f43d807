"""The PostgreSQL backend: connection settings, row locks, and bulk statements with arrays."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from apidevices.database import backend
from apidevices.database.backend import Backend, Value, milliseconds

DRIVER = "psycopg"

_SET_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', :timeout, true)")
_SET_DEFAULT_LOCK_TIMEOUT = """
    SELECT pid <> %(pid)s, set_config('lock_timeout', %(timeout)s, pid <> %(pid)s)
    FROM pg_backend_pid() AS pid
"""
_CALM = select(
    func.set_config("max_parallel_workers_per_gather", "0", True),
    func.set_config("jit", "off", True),
)
_IS_POOLED = "apidevices.is_pooled"
_TAKE_EXCLUSIVE_LOCK = select(func.pg_advisory_xact_lock(int.from_bytes(b"apidevic")))


class PostgresBackend(Backend):
    """PostgreSQL locks single rows, so writes to different rows don't wait for each other."""

    begin_snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.bulk_dialect = engine.dialect

    @contextmanager
    def write(self, timeout: float | None, exclusive: bool) -> Iterator[Session]:
        """Open a session in a transaction; an exclusive one takes an advisory lock first."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            if timeout is None and _IS_POOLED in session.connection().info:
                timeout = backend.LOCK_TIMEOUT
            if timeout is not None:
                session.execute(_SET_LOCK_TIMEOUT, {"timeout": f"{milliseconds(timeout)}ms"})
            if exclusive:
                self.make_exclusive(session)
            yield session

    def make_exclusive(self, session: Session) -> None:
        """Take an advisory lock until the transaction ends."""
        session.execute(_TAKE_EXCLUSIVE_LOCK)

    def lock(self, connection: Connection, key: Any, ids: Collection[int]) -> None:
        """Lock rows in ascending order of their ids."""
        if not ids:
            return
        rows = select(key).where(key == func.any(_id_array(sorted(ids)))).order_by(key)
        locked = rows.with_for_update(key_share=True).subquery()
        # Counts the rows, because receiving their ids would take longer than locking them.
        connection.execute(select(func.count()).select_from(locked))

    def id_list(self, ids: Collection[int]) -> Select[Any]:
        """Return a query for these ids, which reads them from an array."""
        return select(func.unnest(_id_array(ids)))

    def insert(self, table: Table) -> postgresql.Insert:
        """Return an INSERT that supports ``ON CONFLICT``."""
        return postgresql.insert(table)

    def now(self, ahead: timedelta = timedelta()) -> ColumnElement[Any]:
        """Return the time at which the current transaction began."""
        # A subquery, because PostgreSQL then computes the time once rather than for each row.
        return literal_column(f"(SELECT now() + interval '{ahead.total_seconds():.0f} seconds')")

    def reads_hold_up_writes(self, session: Session) -> bool:
        """Return False: reads and writes don't wait for each other."""
        return False

    def run_calmly(self, session: Session) -> None:
        """Turn off parallel workers and the compilation of queries for this transaction."""
        session.execute(_CALM)

    def time_text(self, moment: datetime) -> str:
        """Format a time in UTC."""
        if moment.tzinfo is not UTC:
            moment = moment.astimezone(UTC)
        return moment.isoformat(" ", "microseconds")

    def bulk_table(self, columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
        """Return a table expression over one array per column."""
        arrays = (bindparam(name, type_=ARRAY(kind)) for name, kind in columns.items())
        rows = func.unnest(*arrays).table_valued(
            *(column(name, kind) for name, kind in columns.items()), name="new"
        )
        return rows.render_derived()

    def bulk_parameters(
        self, names: Sequence[str], rows: Sequence[Sequence[Value]]
    ) -> dict[str, str]:
        """Return one array per column."""
        arrays = map(_array, zip(*rows, strict=True))
        return dict(zip(names, arrays, strict=True))


def _array(values: Iterable[Value]) -> str:
    """Format values as a PostgreSQL array literal."""
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Value) -> str:
    if isinstance(value, str):
        if "\\" in value or '"' in value:
            value = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{value}"'
    return "NULL" if value is None else str(value)


def _id_array(ids: Iterable[int]) -> ColumnElement[Any]:
    return cast(literal(_array(ids), Text), ARRAY(BigInteger))


def engine_options(url: URL) -> dict[str, Any]:
    """Return the ``create_engine`` arguments that are specific to PostgreSQL."""
    return {
        "pool_pre_ping": True,
        # Detect a vanished server within seconds rather than 15 minutes. URL parameters take
        # precedence.
        "connect_args": {
            name: value
            for name, value in {
                "connect_timeout": round(backend.LOCK_TIMEOUT),
                "tcp_user_timeout": milliseconds(backend.LOCK_TIMEOUT),
                "keepalives_idle": 10,
                "keepalives_interval": 2,
                "keepalives_count": 3,
            }.items()
            if name not in url.query
        },
    }


def on_connect(connection: Any, record: Any) -> None:
    """Configure a new connection in one round trip.

    A connection pooler such as PgBouncer reports a process id of its own. Behind one, transactions
    may run on different server connections, so nothing may be kept in the session: neither
    psycopg's prepared statements nor the lock timeout.
    """
    parameters = {
        "pid": connection.info.backend_pid,
        "timeout": f"{milliseconds(backend.LOCK_TIMEOUT)}ms",
    }
    [is_pooled, _] = connection.execute(_SET_DEFAULT_LOCK_TIMEOUT, parameters).fetchone()
    connection.commit()  # a rollback would undo the setting
    if is_pooled:
        record.info[_IS_POOLED] = True
        connection.prepare_threshold = None
