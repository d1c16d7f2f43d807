"""Sessions and connections of one engine."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine, Select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from apidevices.database.backend import Backend
from apidevices.database.errors import may_be_out_of_space, storage_failure
from apidevices.database.files import DatabaseFile, sqlite_file
from apidevices.database.postgresql import PostgresBackend
from apidevices.database.reserve import FileReserve, Reserve
from apidevices.database.sqlite import SqliteBackend
from apidevices.database.table_reserve import TableReserve
from apidevices.processes import after_fork


class Database:
    """An engine, with separate sessions for reading and writing.

    Args:
        engine: The engine.
        disk_reserve: The size of the disk reserve in bytes, see ``reserve``; 0 for none.
    """

    def __init__(self, engine: Engine, disk_reserve: int = 0) -> None:
        self.engine = engine
        path = sqlite_file(engine.url)
        self.file = DatabaseFile(path)
        self.reserve: Reserve = (
            FileReserve(path, disk_reserve)
            if engine.dialect.name == "sqlite"
            else TableReserve(engine, disk_reserve)
        )
        self.write_failure: str | None = None
        """Why the latest write of this process could not be stored; None if it was."""
        backend = SqliteBackend if engine.dialect.name == "sqlite" else PostgresBackend
        self.backend: Backend = backend(engine)
        after_fork(self.backend.after_fork)

    def connect(self) -> Connection:
        """Return a connection in autocommit mode: each statement sees all committed data."""
        self.file.check()
        return self.backend.autocommit.connect()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session in autocommit mode: each query sees all data committed so far."""
        self.file.check()
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
            except BaseException:
                with suppress(SQLAlchemyError):  # it must not hide the original error
                    run("ROLLBACK")
                raise
            run("ROLLBACK")

    @contextmanager
    def write(
        self, timeout: float | None = None, *, exclusive: bool = False, essential: bool = True
    ) -> Iterator[Session]:
        """Open a session in a transaction: committed when the block ends, rolled back if it raises.

        Args:
            timeout: Seconds to wait for other writes; ``LOCK_TIMEOUT`` by default.
            exclusive: Wait until no other exclusive write is running. On SQLite, every write is
                exclusive.
            essential: Whether the write may use the disk reserve. Pass False for everything that
                devices cause: they could use it up, and then no device could be blocked.

        Raises:
            DatabaseUnavailable: The write is not essential and the reserve is in use, or the
                database file has been moved.
        """
        self.file.check()
        if not essential:
            self.reserve.require()
        try:
            with self._transaction(timeout, exclusive, essential) as session:
                yield session
        except Exception as error:
            if failure := storage_failure(error):
                self.write_failure = failure
            if may_be_out_of_space(error):
                self.reserve.on_full_disk(essential=essential)  # helps the next attempt
            raise
        self.write_failure = None
        self.file.check()  # what was written to a file that has been moved is not acknowledged

    def make_exclusive(self, session: Session) -> None:
        """Make a write exclusive: wait until no other exclusive write is running."""
        self.backend.make_exclusive(session)

    def insert(self, table: Any) -> "sqlite.Insert | postgresql.Insert":
        """Return an INSERT that supports ``ON CONFLICT``."""
        return self.backend.insert(getattr(table, "__table__", table))

    def id_list(self, ids: Collection[int]) -> Select[Any]:
        """Return a query for these ids, for ``column.in_``. They are a single parameter."""
        return self.backend.id_list(ids)

    def lock(self, connection: Connection, key: Any, ids: Collection[int]) -> None:
        """Lock rows until the transaction ends, in the order of their keys to prevent deadlocks."""
        self.backend.lock(connection, key, ids)

    @contextmanager
    def _transaction(
        self, timeout: float | None, exclusive: bool, essential: bool
    ) -> Iterator[Session]:
        if essential:
            self.reserve.release_if_needed()  # even a new connection may need space
        with self.backend.write(timeout, exclusive) as session:
            if essential:
                self.reserve.release_if_needed()  # others may have written while this one waited
            self.file.check_log(session.connection().info)
            yield session
