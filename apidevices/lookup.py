"""The one read of a tracked request: token and device together, straight through the driver.

Every request pays for this query, so it goes through neither the ORM nor SQLAlchemy's execution,
which would be most of the time of the whole check: the statement is compiled once, and runs on
connections of the driver, in autocommit, on which the database keeps it prepared. Each call reads
what is committed when it is made.
"""

import contextlib
import select
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, String, bindparam, or_
from sqlalchemy import select as select_columns
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from apidevices.database import PATIENCE, sqlite_time
from apidevices.identity import DETAILS
from apidevices.models import ApiToken, Device, Moment
from apidevices.processes import after_fork, at_exit


class Known(NamedTuple):
    """What is known of a token, and of the device that came with it."""

    token_id: int
    token_name: str
    scopes_json: str
    valid: bool
    device_id: int | None
    blocked: bool
    details: Sequence[str | None]


_STATEMENT = (
    select_columns(
        ApiToken.id,
        ApiToken.name,
        ApiToken.scopes,
        ApiToken.revoked_at.is_(None)
        & or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > bindparam("now", type_=Moment)),
        Device.id,
        Device.blocked_at.is_not(None),
        *(getattr(Device, field) for field in DETAILS),
    )
    .select_from(ApiToken)
    .outerjoin(Device, Device.identifier == bindparam("identifier", type_=String))
    .where(ApiToken.digest == bindparam("digest"))
)


class LookupFailed(Exception):
    """The database can't be asked."""


def make_lookup(engine: Engine) -> "Lookup":
    """Return the lookup for an engine's database."""
    return (SqliteLookup if engine.dialect.name == "sqlite" else PostgresLookup)(engine)


class Lookup(ABC):
    """Connections of the driver that are used for nothing but this query, by any thread.

    There are never more of them than requests at the same time. A connection that fails is thrown
    away, and the query is made once more on a new one: it may only have been an old one, from
    before the database was started again.
    """

    def __init__(self, engine: Engine) -> None:
        # A pool of its own makes new connections; one out of the engine's would first be asked
        # whether it is still good, without end where the server hangs.
        self._is_shared = isinstance(engine.pool, StaticPool)
        self._pool = engine.pool if self._is_shared else engine.pool.recreate()
        self._idle: deque[Any] = deque()
        driver: Any = engine.dialect.dbapi
        self._error: type[Exception] = driver.OperationalError
        self._errors: tuple[type[Exception], ...] = (driver.Error, SQLAlchemyError, TimeoutError)
        after_fork(self._forget)
        at_exit(self.close)

    def find(self, digest: bytes, identifier: str | None, now: datetime) -> Known | None:
        """Return what is known of a token and a device, or None where there is no such token.

        Raises:
            LookupFailed: the database can't be asked.
        """
        while True:
            connection, fresh = None, True
            try:
                with contextlib.suppress(IndexError):
                    connection, fresh = self._idle.pop(), False
                connection = connection or self._open()
                row = self._ask(connection, digest, identifier, now)
            except self._errors as error:
                if connection is not None:
                    self._discard(connection)
                if fresh or isinstance(error, TimeoutError):
                    raise LookupFailed(str(error)) from error
                continue
            self._idle.append(connection)
            return row

    def close(self) -> None:
        """Close all connections that are not in use."""
        while self._idle:
            self._discard(self._idle.pop())

    def _forget(self) -> None:
        self._abandoned = self._idle  # not closed: the parent process goes on to use them
        self._idle = deque()
        if not self._is_shared:
            self._pool = self._pool.recreate()  # its lock may have been held

    def _open(self) -> Any:
        pooled = self._pool.connect()
        connection = pooled.driver_connection
        if self._is_shared:
            pooled.close()  # the one connection that there is, to a database in memory
        else:
            pooled.detach()
        return connection

    def _discard(self, connection: Any) -> None:
        if not self._is_shared:
            connection.close()

    @abstractmethod
    def _ask(
        self, connection: Any, digest: bytes, identifier: str | None, now: datetime
    ) -> Known | None:
        """Make the query on a connection."""


class SqliteLookup(Lookup):
    """The query through ``sqlite3``, which keeps prepared statements by their text."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        compiled = _STATEMENT.compile(dialect=engine.dialect)
        self._sql = str(compiled)
        self._order = tuple(compiled.positiontup or ())

    def _ask(
        self, connection: Any, digest: bytes, identifier: str | None, now: datetime
    ) -> Known | None:
        values = {
            "digest": digest,
            "identifier": identifier,
            "now": sqlite_time(now),
        }
        row = connection.execute(self._sql, [values[name] for name in self._order]).fetchone()
        if row is None:
            return None
        token_id, name, scopes, valid, device_id, blocked, *details = row
        return Known(token_id, name, scopes, valid, device_id, blocked, details)


class PostgresLookup(Lookup):
    """The query through libpq as psycopg wraps it: prepared once a connection, run with bytes.

    psycopg's cursor, and its adaptation of each value to and from Python, would cost more time in
    this process than all the rest.
    """

    _NAME = b"apidevices_lookup"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        # SQLAlchemy leaves the making of a dialect untyped.
        dialect = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        compiled = _STATEMENT.compile(dialect=dialect)
        self._sql = str(compiled).encode()
        self._order = tuple(compiled.positiontup or ())
        self._formats = [1 if name == "digest" else 0 for name in self._order]  # bytea: binary

    def _open(self) -> Any:
        connection = _Connection(super()._open())
        try:
            self._checked(connection.pgconn.prepare(self._NAME, self._sql))
        except self._errors:
            self._discard(connection)
            raise
        return connection

    def _ask(
        self, connection: "_Connection", digest: bytes, identifier: str | None, now: datetime
    ) -> Known | None:
        values = {
            "digest": digest,
            "identifier": None if identifier is None else identifier.encode(),
            "now": now.isoformat().encode(),
        }
        result = connection.execute(
            self._NAME, [values[name] for name in self._order], self._formats
        )
        self._checked(result)
        if result.ntuples == 0:
            return None
        texts = [
            None if (value := result.get_value(0, column)) is None else value.decode()
            for column in range(result.nfields)
        ]
        token_id, name, scopes, valid, device_id, blocked, *details = texts
        return Known(
            int(token_id or 0),
            name or "",
            scopes or "[]",
            valid == "t",
            None if device_id is None else int(device_id),
            blocked == "t",
            details,
        )

    def _checked(self, result: Any) -> None:
        if result.error_message:
            raise self._error(result.error_message.decode(errors="replace").strip())


class _Connection:
    """A connection of libpq, which by itself would wait for an answer without end."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.pgconn = connection.pgconn
        self._answers = select.poll()
        self._answers.register(self.pgconn.socket, select.POLLIN)

    def execute(self, name: bytes, values: Sequence[bytes | None], formats: Sequence[int]) -> Any:
        """Run a prepared statement in one round trip.

        Raises:
            TimeoutError: no answer came in time.
        """
        self.pgconn.send_query_prepared(name, values, formats)
        while self.pgconn.is_busy():
            if not self._answers.poll(PATIENCE * 1000):
                raise TimeoutError("the database does not answer")
            self.pgconn.consume_input()
        result = self.pgconn.get_result()
        while self.pgconn.get_result() is not None:
            pass  # libpq wants to be asked until nothing is left
        return result

    def close(self) -> None:
        """Close it."""
        self._connection.close()
