"""The lookup on SQLite."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from apidevices.database import (
    DatabaseFile,
    DatabaseUnavailable,
    check_journal_mode,
    sqlite_time,
)
from apidevices.lookup.base import (
    NOTHING_FOUND,
    Found,
    FoundDevice,
    FoundToken,
    Lookup,
    LookupFailed,
)


class SqliteLookup(Lookup):
    """Runs the query through ``sqlite3``, which caches prepared statements by their SQL.

    Each connection is kept as a cursor, because creating a new one for each query would take as
    long as running a trivial query.

    Args:
        engine: The engine of the database.
        tokens: See ``make_lookup``.
        file: The database file, which is checked regularly.
        wait: Whether to wait for locks, as the engine is configured, or to fail at once.
    """

    def __init__(
        self, engine: Engine, *, tokens: bool, file: DatabaseFile, wait: bool = True
    ) -> None:
        super().__init__(engine, tokens=tokens)
        self._file = file
        self._sql, self._order = self._compile(engine.dialect)
        self._tokens = tokens
        self._wait = wait

    def without_waiting(self) -> "SqliteLookup":
        """Return the same lookup on other connections, which don't wait for locks."""
        return SqliteLookup(self._engine, tokens=self._tokens, file=self._file, wait=False)

    def find(self, digest: bytes | None, identifier: str | None, now: datetime) -> Found:
        """Return the valid token with this digest and the device with this identifier.

        Raises:
            LookupFailed: The database is unavailable, or its file has been moved.
        """
        self._check_file()
        return super().find(digest, identifier, now)

    def find_if_open(
        self, digest: bytes | None, identifier: str | None, now: datetime
    ) -> Found | None:
        """Like ``find``, but return None if no connection is open or the query fails."""
        self._check_file()
        try:
            connection = self._idle.pop()
        except IndexError:
            return None
        try:
            return self._find_on(connection, digest, identifier, now)
        except self._driver_errors:
            return None

    def open_if_none(self) -> None:
        """Open a connection for ``find_if_open``, unless one is open or opening fails."""
        if not self._idle:
            with suppress(*self._driver_errors):
                self._idle.append(self._open())

    def _check_file(self) -> None:
        try:
            self._file.check_regularly()
        except DatabaseUnavailable as error:
            raise LookupFailed(str(error)) from error

    def _open(self) -> Any:
        connection = super()._open()
        if not self._wait:
            connection.execute("PRAGMA busy_timeout = 0")
        # Not when the application starts: it may set the journal mode until its first query.
        check_journal_mode(self._engine, connection)
        return connection.cursor()

    def _discard(self, connection: Any) -> None:
        super()._discard(connection.connection)

    def _query(
        self, connection: Any, digest: bytes | None, identifier: str | None, now: datetime
    ) -> Found:
        values = {"digest": digest, "identifier": identifier, "now": sqlite_time(now)}
        parameters = [values[name] for name in self._order]
        row = connection.execute(self._sql, parameters).fetchone()
        if row is None:
            return NOTHING_FOUND
        token_id, token_name, scopes, requires_id, limit, device_id, name, blocked, *details = row
        return Found(
            None
            if token_id is None
            else FoundToken(token_id, token_name, scopes, bool(requires_id), limit),
            None if device_id is None else FoundDevice(device_id, name, bool(blocked), details),
        )
