"""The one read of a tracked request: device, and token where it is ours, through the driver.

Every request pays for this query, so it goes through neither the ORM nor SQLAlchemy's execution,
which would be most of the time of the whole check: the statement is compiled once, and runs on
connections of the driver, in autocommit, on which the database keeps it prepared. Each call reads
what is committed when it is made.
"""

import os
import socket
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select, String, bindparam, null, or_, select, true
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from apidevices.database import LOCK_TIMEOUT, sqlite_time
from apidevices.identity import DETAILS
from apidevices.models import ApiToken, Device, UTCDateTime
from apidevices.processes import after_fork, at_exit


class Known(NamedTuple):
    """What is known of a token, and of the device that came with it.

    Where tokens are not ours to check, nothing is known of any, and each is valid.
    """

    token_id: int | None
    token_name: str | None
    scopes_json: str
    valid: bool
    device_id: int | None
    device_name: str | None
    blocked: bool
    details: Sequence[str | None]


_DEVICE = (
    Device.id,
    Device.name,
    Device.blocked_at.is_not(None),
    *(getattr(Device, field) for field in DETAILS),
)
_HAS_IDENTIFIER = Device.identifier == bindparam("identifier", type_=String)

_TOKEN_AND_DEVICE = (
    select(
        ApiToken.id,
        ApiToken.name,
        ApiToken.scopes,
        ApiToken.revoked_at.is_(None)
        & or_(
            ApiToken.expires_at.is_(None), ApiToken.expires_at > bindparam("now", type_=UTCDateTime)
        ),
        *_DEVICE,
    )
    .select_from(ApiToken)
    .outerjoin(Device, _HAS_IDENTIFIER)
    .where(ApiToken.digest == bindparam("digest"))
)
_DEVICE_ALONE = select(null(), null(), null(), true(), *_DEVICE).where(_HAS_IDENTIFIER)


class LookupFailed(Exception):
    """The database can't be asked."""


def make_lookup(engine: Engine, *, tokens: bool) -> "Lookup":
    """Return the lookup for an engine's database, of devices with tokens or without."""
    kind = SqliteLookup if engine.dialect.name == "sqlite" else PostgresLookup
    return kind(engine, _TOKEN_AND_DEVICE if tokens else _DEVICE_ALONE)


class Lookup(ABC):
    """Connections of the driver that are used for nothing but this query, by any thread.

    There are never more of them than requests at the same time. A connection that fails is thrown
    away, and the query is made once more on a new one: it may only have been an old one, from
    before the database was started again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # A pool of its own makes new connections; one out of the engine's would first be asked
        # whether it is still good, without end where the server hangs.
        self._is_shared = isinstance(engine.pool, StaticPool)
        self._pool = engine.pool if self._is_shared else engine.pool.recreate()
        self._idle: deque[Any] = deque()
        driver: Any = engine.dialect.dbapi
        self._error: type[Exception] = driver.OperationalError
        self._errors: tuple[type[Exception], ...] = (driver.Error, SQLAlchemyError)
        after_fork(self._forget)
        at_exit(self.close)

    def find(self, digest: bytes | None, identifier: str | None, now: datetime) -> Known | None:
        """Return what is known of a token and a device.

        None where there is no such token; or, without tokens, no such device.

        Raises:
            LookupFailed: the database can't be asked.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = None
        if connection is not None:
            try:
                return self._asked(connection, digest, identifier, now)
            except self._errors:
                pass  # it may only be an old connection, from before the server was started again
        try:
            return self._asked(self._open(), digest, identifier, now)
        except self._errors as error:
            raise LookupFailed(str(error)) from error

    def close(self) -> None:
        """Close all connections that are not in use."""
        while self._idle:
            self._discard(self._idle.pop())

    def _asked(
        self, connection: Any, digest: bytes | None, identifier: str | None, now: datetime
    ) -> Known | None:
        try:
            known = self._ask(connection, digest, identifier, now)
        except self._errors:
            self._discard(connection)
            raise
        self._idle.append(connection)
        return known

    def _forget(self) -> None:
        self._abandoned = self._idle  # not closed: the parent process goes on to use them
        self._idle = deque()
        if not self._is_shared:
            self._pool = self._pool.recreate()  # its lock may have been held

    def _open(self) -> Any:
        if getattr(self._engine.dialect, "default_isolation_level", None) is None:
            # SQLAlchemy asks the server what it can do on the first connection; with two pools,
            # nobody would wait for that.
            self._engine.connect().close()
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
        self, connection: Any, digest: bytes | None, identifier: str | None, now: datetime
    ) -> Known | None:
        """Make the query on a connection."""


class SqliteLookup(Lookup):
    """The query through ``sqlite3``, which keeps prepared statements by their text."""

    def __init__(self, engine: Engine, statement: Select[Any]) -> None:
        super().__init__(engine)
        compiled = statement.compile(dialect=engine.dialect)
        self._sql = str(compiled)
        self._order = tuple(compiled.positiontup or ())

    def _ask(
        self, connection: Any, digest: bytes | None, identifier: str | None, now: datetime
    ) -> Known | None:
        values = {
            "digest": digest,
            "identifier": identifier,
            "now": sqlite_time(now),
        }
        row = connection.execute(self._sql, [values[name] for name in self._order]).fetchone()
        if row is None:
            return None
        token_id, name, scopes, valid, device_id, device_name, blocked, *details = row
        return Known(
            token_id, name, scopes or "[]", valid, device_id, device_name, blocked, details
        )


class PostgresLookup(Lookup):
    """The query through libpq as psycopg wraps it: prepared once a connection, run with bytes.

    psycopg's cursor, and its adaptation of each value to and from Python, would cost more time in
    this process than all the rest.
    """

    _NAME = b"apidevices_lookup"

    def __init__(self, engine: Engine, statement: Select[Any]) -> None:
        super().__init__(engine)
        dialect = postgresql.dialect(  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
            paramstyle="numeric_dollar"
        )
        compiled = statement.compile(dialect=dialect)
        self._sql = str(compiled).encode()
        self._order = tuple(compiled.positiontup or ())
        self._watch = _Watch()
        self._formats = [1 if name == "digest" else 0 for name in self._order]  # bytea: binary

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._watch.close()
        super().close()
        self._watch = _Watch()

    def _forget(self) -> None:
        super()._forget()
        self._watch = _Watch()

    def _open(self) -> Any:
        connection = _Connection(super()._open())
        self._watch.add(connection)
        try:
            self._checked(connection.pgconn.prepare(self._NAME, self._sql))
        except self._errors:
            self._discard(connection)
            raise
        return connection

    def _ask(
        self, connection: "_Connection", digest: bytes | None, identifier: str | None, now: datetime
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
        token_id, name, scopes, valid, device_id, device_name, blocked, *details = texts
        return Known(
            None if token_id is None else int(token_id),
            name,
            scopes or "[]",
            valid == "t",
            None if device_id is None else int(device_id),
            device_name,
            blocked == "t",
            details,
        )

    def _checked(self, result: Any) -> None:
        if result.error_message:
            raise self._error(result.error_message.decode(errors="replace").strip())


class _Connection:
    """A connection of libpq, with the question that it was asked last."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._closing = threading.Lock()
        self.pgconn = connection.pgconn
        self.asked_at: float | None = None

    def execute(self, name: bytes, values: Sequence[bytes | None], formats: Sequence[int]) -> Any:
        """Run a prepared statement in one round trip, and in one call that lets others run."""
        self.asked_at = time.monotonic()
        try:
            return self.pgconn.exec_prepared(name, values, formats)
        finally:
            self.asked_at = None

    def hang_up(self) -> None:
        """Let an answer that somebody waits for be an error."""
        with self._closing:
            if self.asked_at is not None:
                with socket.socket(fileno=os.dup(self.pgconn.socket)) as server:
                    server.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it."""
        with self._closing:
            self._connection.close()


class _Watch:
    """Hangs up on servers that don't answer: libpq by itself would wait without end."""

    def __init__(self) -> None:
        self._connections: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, connection: _Connection) -> None:
        """Watch one more connection."""
        self._connections.add(connection)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="apidevices-watch", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(LOCK_TIMEOUT / 3):
            late = time.monotonic() - LOCK_TIMEOUT
            for connection in list(self._connections):
                if connection.asked_at is not None and connection.asked_at < late:
                    connection.hang_up()
