"""The lookup on PostgreSQL."""

import os
import socket
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.dialects import postgresql

from apidevices.lookup.base import (
    NOTHING_FOUND,
    Found,
    FoundDevice,
    FoundToken,
    Lookup,
    LookupFailed,
)
from apidevices.lookup.statement import Statement
from apidevices.lookup.watchdog import Watchdog


class PostgresLookup(Lookup):
    """Runs the query through psycopg's libpq wrapper, prepared once per connection if possible.

    psycopg's cursors and their conversion of values to and from Python objects would use more CPU
    time than the rest of the lookup.
    """

    def __init__(self, engine: Engine, *, tokens: bool) -> None:
        super().__init__(engine, tokens=tokens)
        dialect = postgresql.dialect(  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
            paramstyle="numeric_dollar"
        )
        sql, self._order = self._compile(dialect)
        self._watchdog = Watchdog()
        self.statement = Statement(
            sql.encode(), [1 if name == "digest" else 0 for name in self._order]
        )

    def close(self) -> None:
        """Close all idle connections and stop the watchdog."""
        self._watchdog.close()
        super().close()
        self._watchdog = Watchdog()

    def _reset_after_fork(self) -> None:
        super()._reset_after_fork()
        self._watchdog = Watchdog()

    def open(self) -> "LibpqConnection":
        """Open a connection on which ``statement`` can run. The caller closes it.

        Raises:
            LookupFailed: The database is unavailable.
        """
        try:
            return self._open()
        except self._driver_errors as error:
            raise LookupFailed(str(error)) from error

    def parameters(
        self, digest: bytes | None, identifier: str | None, now: datetime
    ) -> list[bytes | None]:
        """Return the parameters of ``statement``."""
        values = {
            "digest": digest,
            "identifier": None if identifier is None else identifier.encode(),
            "now": now.isoformat().encode(),
        }
        return [values[name] for name in self._order]

    @staticmethod
    def found(result: Any) -> Found:
        """Convert a libpq result of ``statement``."""
        if result.ntuples == 0:
            return NOTHING_FOUND
        texts: list[Any] = [
            None if (value := result.get_value(0, column)) is None else value.decode()
            for column in range(result.nfields)
        ]
        token_id, token_name, scopes, requires_id, limit, device_id, name, blocked, *details = texts
        return Found(
            None
            if token_id is None
            else FoundToken(
                int(token_id),
                token_name,
                scopes,
                requires_id == "t",
                None if limit is None else int(limit),
            ),
            None
            if device_id is None
            else FoundDevice(int(device_id), name, blocked == "t", details),
        )

    def _open(self) -> "LibpqConnection":
        connection = LibpqConnection(super()._open(), self._operational_error)
        self._watchdog.add(connection)
        try:
            result = self.statement.prepare(connection.pgconn)
            if result is not None and not self.statement.stop_preparing(result):
                self._raise_for_error(result)
        except self._driver_errors:
            self._discard(connection)
            raise
        return connection

    def _query(
        self,
        connection: "LibpqConnection",
        digest: bytes | None,
        identifier: str | None,
        now: datetime,
    ) -> Found:
        parameters = self.parameters(digest, identifier, now)
        result = connection.execute(self.statement, parameters)
        if result.error_message and self.statement.stop_preparing(result):
            result = connection.execute(self.statement, parameters)
        self._raise_for_error(result)
        return self.found(result)

    def _raise_for_error(self, result: Any) -> None:
        if result.error_message:
            raise self._operational_error(result.error_message.decode(errors="replace").strip())


class LibpqConnection:
    """A libpq connection that another thread can abort.

    ``waiting_since`` is the monotonic time at which the current query started, or None while idle.
    ``error`` is what ``pgconn`` raises if the connection is lost.
    """

    def __init__(self, connection: Any, error: type[Exception]) -> None:
        self._connection = connection
        self.error = error
        self._closing = threading.Lock()
        self.pgconn = connection.pgconn
        self.waiting_since: float | None = None

    def execute(self, statement: Statement, parameters: Sequence[bytes | None]) -> Any:
        """Run a statement and return its result."""
        self.waiting_since = time.monotonic()
        try:
            return statement.execute(self.pgconn, parameters)
        finally:
            self.waiting_since = None

    def abort(self) -> None:
        """Shut down the socket, which makes the current query fail."""
        with self._closing:
            if self.waiting_since is not None:
                with socket.socket(fileno=os.dup(self.pgconn.socket)) as server:
                    server.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        with self._closing:
            self._connection.close()
