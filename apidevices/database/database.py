"""Sessions and connections of one engine."""

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from apidevices.database.backend import Backend
from apidevices.database.postgresql import PostgresBackend
from apidevices.database.sqlite import SqliteBackend
from apidevices.processes import after_fork


class Database:
    """An engine, with separate sessions for reading and writing."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        backend = SqliteBackend if engine.dialect.name == "sqlite" else PostgresBackend
        self.backend: Backend = backend(engine)
        after_fork(self.backend.after_fork)

    def connect(self) -> Connection:
        """Return a connection in autocommit mode: each statement sees all committed data."""
        return self.backend.autocommit.connect()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session in autocommit mode: each query sees all data committed so far."""
        with Session(self.backend.autocommit, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Open a read-only session whose queries all see the same snapshot."""
        with self.read() as session:
            if isinstance(self.engine.pool, StaticPool):
                yield session  # all threads share one connection, so transactions would collide
                return
            run = session.connection().exec_driver_sql
            run(self.backend.begin_snapshot)
            try:
                yield session
            finally:
                run("ROLLBACK")

    def write(
        self, timeout: float | None = None, *, exclusive: bool = False
    ) -> AbstractContextManager[Session]:
        """Open a session in a transaction: committed when the block ends, rolled back if it raises.

        Args:
            timeout: Seconds to wait for other writes; ``LOCK_TIMEOUT`` by default.
            exclusive: Wait until no other exclusive write is running. On SQLite, every write is
                exclusive.
        """
        return self.backend.write(timeout, exclusive)

    def insert(self, table: Any) -> "sqlite.Insert | postgresql.Insert":
        """Return an INSERT that supports ``ON CONFLICT``."""
        return self.backend.insert(getattr(table, "__table__", table))

    def id_list(self, ids: Collection[int]) -> Select[Any]:
        """Return a query for these ids, for ``column.in_``. They are a single parameter."""
        return self.backend.id_list(ids)

    def lock(self, connection: Connection, key: Any, ids: Collection[int]) -> None:
        """Lock rows until the transaction ends, in the order of their keys to prevent deadlocks."""
        self.backend.lock(connection, key, ids)
