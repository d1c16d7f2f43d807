"""What the lookups of all drivers share: statement, result types and connections."""

import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select, String, bindparam, null, or_, select
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from apidevices.identity import DETAILS
from apidevices.models import ApiToken, Device, UTCDateTime
from apidevices.processes import after_fork, at_exit


class FoundToken(NamedTuple):
    """A valid token: neither revoked nor expired.

    ``scopes_json`` is a JSON list. ``requires_device_id`` and ``new_devices_per_hour`` are those of
    ``models.ApiToken``.
    """

    id: int
    name: str
    scopes_json: str
    requires_device_id: bool = False
    new_devices_per_hour: int | None = None

    @property
    def scopes(self) -> list[str]:
        """The scopes, parsed on demand because most requests don't need them."""
        scopes: list[str] = json.loads(self.scopes_json)
        return scopes


class FoundDevice(NamedTuple):
    """A known device. ``details`` has one value per field, in the order of ``identity.DETAILS``."""

    id: int
    name: str | None
    blocked: bool
    details: Sequence[str | None]

    def differs_from(self, sent: Mapping[str, str]) -> bool:
        """Return whether a request sends other details than the stored ones. Missing ones match."""
        stored = list(self.details)
        return list(map(sent.get, DETAILS, stored)) != stored


class Found(NamedTuple):
    """The result of a lookup.

    ``token`` is None if the token is invalid; ``device`` is then None as well. Without tokens,
    ``token`` is always None.
    """

    token: FoundToken | None
    device: FoundDevice | None


NOTHING_FOUND = Found(None, None)

_NOW = bindparam("now", type_=UTCDateTime)
"""The time of the request, by the clock of this host: it decides when blocks and tokens end."""

_DEVICE_COLUMNS = (
    Device.id,
    Device.name,
    Device.blocked_condition(_NOW),
    *(getattr(Device, field) for field in DETAILS),
)
_HAS_IDENTIFIER = Device.identified_by(bindparam("identifier", type_=String))

_TOKEN_COLUMNS = (
    ApiToken.id,
    ApiToken.name,
    ApiToken.scopes,
    ApiToken.requires_device_id,
    ApiToken.new_devices_per_hour,
)

_TOKEN_AND_DEVICE = (
    select(*_TOKEN_COLUMNS, *_DEVICE_COLUMNS)
    .select_from(ApiToken)
    .outerjoin(Device, _HAS_IDENTIFIER)
    .where(
        ApiToken.digest == bindparam("digest"),
        ApiToken.revoked_at.is_(None),
        or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > _NOW),
    )
)
_NO_TOKEN: Sequence[Any] = [null() for _ in _TOKEN_COLUMNS]
_DEVICE_ONLY = select(*_NO_TOKEN, *_DEVICE_COLUMNS).where(_HAS_IDENTIFIER)


class LookupFailed(Exception):
    """The database is unavailable."""


class Lookup(ABC):
    """Runs the lookup query on dedicated driver connections that all threads share.

    It opens at most as many connections as there are concurrent requests. If a connection fails,
    it is closed and the query is retried once on a new one: the old connection may be stale because
    the database has restarted.
    """

    def __init__(self, engine: Engine, *, tokens: bool) -> None:
        self._engine = engine
        self._statement: Select[Any] = _TOKEN_AND_DEVICE if tokens else _DEVICE_ONLY
        # New connections come from a separate pool. The engine's pool would ping them first, which
        # blocks forever if the server hangs.
        self._is_shared = isinstance(engine.pool, StaticPool)
        self._pool = engine.pool if self._is_shared else engine.pool.recreate()
        self._idle: deque[Any] = deque()
        driver: Any = engine.dialect.dbapi
        self._operational_error: type[Exception] = driver.OperationalError
        self._driver_errors: tuple[type[Exception], ...] = (driver.Error, SQLAlchemyError)
        after_fork(self._reset_after_fork)
        at_exit(self.close)

    def find(self, digest: bytes | None, identifier: str | None, now: datetime) -> Found:
        """Return the valid token with this digest and the device with this identifier.

        Raises:
            LookupFailed: The database is unavailable.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = None
        if connection is not None:
            try:
                return self._find_on(connection, digest, identifier, now)
            except self._driver_errors:
                pass  # the connection may be stale: retry on a new one
        try:
            return self._find_on(self._open(), digest, identifier, now)
        except self._driver_errors as error:
            raise LookupFailed(str(error)) from error

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._discard(self._idle.pop())

    def _find_on(
        self, connection: Any, digest: bytes | None, identifier: str | None, now: datetime
    ) -> Found:
        try:
            found = self._query(connection, digest, identifier, now)
        except self._driver_errors:
            self._discard(connection)
            raise
        self._idle.append(connection)
        return found

    def _reset_after_fork(self) -> None:
        # Keep a reference: garbage collection would close connections that the parent still uses.
        self._abandoned = self._idle
        self._idle = deque()
        if not self._is_shared:
            self._pool = self._pool.recreate()  # another thread may have held its lock

    def _open(self) -> Any:
        if getattr(self._engine.dialect, "default_isolation_level", None) is None:
            # SQLAlchemy initializes the dialect on an engine's first connection. Connections of
            # the separate pool would not wait for that.
            self._engine.connect().close()
        pooled = self._pool.connect()
        connection = pooled.driver_connection
        if self._is_shared:
            pooled.close()  # returns the only connection, to an in-memory database
        else:
            pooled.detach()
        return connection

    def _discard(self, connection: Any) -> None:
        if not self._is_shared:
            connection.close()

    def _compile(self, dialect: Dialect) -> tuple[str, Sequence[str]]:
        """Return the statement's SQL and the names of its positional parameters, in order."""
        compiled = self._statement.compile(dialect=dialect)
        return str(compiled), tuple(compiled.positiontup or ())

    @abstractmethod
    def _query(
        self, connection: Any, digest: bytes | None, identifier: str | None, now: datetime
    ) -> Found:
        """Run the query on a connection."""
