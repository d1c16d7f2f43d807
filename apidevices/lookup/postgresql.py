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

from apidevices.lookup.base import NOTHING_FOUND, Found, FoundDevice, FoundToken, Lookup
from apidevices.lookup.watchdog import Watchdog


class PostgresLookup(Lookup):
    """The query through libpq as psycopg wraps it: prepared once per connection, run with bytes.

    psycopg's cursor, and its adaptation of each value to and from Python, would cost more time in
    this process than all the rest.
    """

    _NAME = b"apidevices_lookup"

    def __init__(self, engine: Engine, *, tokens: bool) -> None:
        super().__init__(engine, tokens=tokens)
        dialect = postgresql.dialect(  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
            paramstyle="numeric_dollar"
        )
        sql, self._order = self._compile(dialect)
        self._sql = sql.encode()
        self._watchdog = Watchdog()
        self._formats = [1 if name == "digest" else 0 for name in self._order]  # bytea: binary

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._watchdog.close()
        super().close()
        self._watchdog = Watchdog()

    def _reset_after_fork(self) -> None:
        super()._reset_after_fork()
        self._watchdog = Watchdog()

    def _open(self) -> Any:
        connection = LibpqConnection(super()._open())
        self._watchdog.add(connection)
        try:
            self._raise_for_error(connection.pgconn.prepare(self._NAME, self._sql))
        except self._errors:
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
        values = {
            "digest": digest,
            "identifier": None if identifier is None else identifier.encode(),
            "now": now.isoformat().encode(),
        }
        result = connection.execute(
            self._NAME, [values[name] for name in self._order], self._formats
        )
        self._raise_for_error(result)
        if result.ntuples == 0:
            return NOTHING_FOUND
        texts: list[Any] = [
            None if (value := result.get_value(0, column)) is None else value.decode()
            for column in range(result.nfields)
        ]
        token_id, token_name, scopes, device_id, device_name, blocked, *details = texts
        return Found(
            None if token_id is None else FoundToken(int(token_id), token_name, scopes),
            None
            if device_id is None
            else FoundDevice(int(device_id), device_name, blocked == "t", details),
        )

    def _raise_for_error(self, result: Any) -> None:
        if result.error_message:
            raise self._error(result.error_message.decode(errors="replace").strip())


class LibpqConnection:
    """A connection of libpq that another thread can interrupt.

    ``waiting_since`` is the monotonic time at which the query in progress began, or None.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._closing = threading.Lock()
        self.pgconn = connection.pgconn
        self.waiting_since: float | None = None

    def execute(self, name: bytes, values: Sequence[bytes | None], formats: Sequence[int]) -> Any:
        """Run a prepared statement in one round trip; the call releases the GIL once."""
        self.waiting_since = time.monotonic()
        try:
            return self.pgconn.exec_prepared(name, values, formats)
        finally:
            self.waiting_since = None

    def hang_up(self) -> None:
        """Shut the socket down, so that the query in progress fails."""
        with self._closing:
            if self.waiting_since is not None:
                with socket.socket(fileno=os.dup(self.pgconn.socket)) as server:
                    server.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        with self._closing:
            self._connection.close()
