"""What every driver's lookup shares: the statement, its result, and a stack of connections."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
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
    """A valid token, neither revoked nor expired; its scopes are a JSON list."""

    id: int
    name: str
    scopes_json: str


class FoundDevice(NamedTuple):
    """A known device; ``details`` has one value for each field of ``identity.DETAILS``."""

    id: int
    name: str | None
    blocked: bool
    details: Sequence[str | None]


class Found(NamedTuple):
    """What the database knows of a request.

    ``token`` is None if it is not valid, and ``device`` is then None as well. A lookup of devices
    alone never has a token.
    """

    token: FoundToken | None
    device: FoundDevice | None


NOTHING_FOUND = Found(None, None)

_DEVICE = (
    Device.id,
    Device.name,
    Device.blocked_at.is_not(None),
    *(getattr(Device, field) for field in DETAILS),
)
_HAS_IDENTIFIER = Device.identifier == bindparam("identifier", type_=String)

_TOKEN_AND_DEVICE = (
    select(ApiToken.id, ApiToken.name, ApiToken.scopes, *_DEVICE)
    .select_from(ApiToken)
    .outerjoin(Device, _HAS_IDENTIFIER)
    .where(
        ApiToken.digest == bindparam("digest"),
        ApiToken.revoked_at.is_(None),
        or_(
            ApiToken.expires_at.is_(None), ApiToken.expires_at > bindparam("now", type_=UTCDateTime)
        ),
    )
)
_DEVICE_ALONE = select(null(), null(), null(), *_DEVICE).where(_HAS_IDENTIFIER)


class LookupFailed(Exception):
    """The database is unavailable."""


class Lookup(ABC):
    """Driver connections that run nothing but this query, shared by all threads.

    There are never more of them than concurrent requests. A connection that fails is thrown away,
    and the query is retried once on a new one: the old one may date from before a restart of the
    database.
    """

    def __init__(self, engine: Engine, *, tokens: bool) -> None:
        self._engine = engine
        self._statement: Select[Any] = _TOKEN_AND_DEVICE if tokens else _DEVICE_ALONE
        # A pool of its own makes new connections; one out of the engine's would first be pinged,
        # without end where the server hangs.
        self._is_shared = isinstance(engine.pool, StaticPool)
        self._pool = engine.pool if self._is_shared else engine.pool.recreate()
        self._idle: deque[Any] = deque()
        driver: Any = engine.dialect.dbapi
        self._error: type[Exception] = driver.OperationalError
        self._errors: tuple[type[Exception], ...] = (driver.Error, SQLAlchemyError)
        after_fork(self._reset_after_fork)
        at_exit(self.close)

    def find(self, digest: bytes | None, identifier: str | None, now: datetime) -> Found:
        """Return the valid token with a digest, and the device with an identifier.

        Raises:
            LookupFailed: the database is unavailable.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = None
        if connection is not None:
            try:
                return self._find_on(connection, digest, identifier, now)
            except self._errors:
                pass  # it may only be an old connection, from before a restart of the server
        try:
            return self._find_on(self._open(), digest, identifier, now)
        except self._errors as error:
            raise LookupFailed(str(error)) from error

    def close(self) -> None:
        """Close all connections that are not in use."""
        while self._idle:
            self._discard(self._idle.pop())

    def _find_on(
        self, connection: Any, digest: bytes | None, identifier: str | None, now: datetime
    ) -> Found:
        try:
            found = self._query(connection, digest, identifier, now)
        except self._errors:
            self._discard(connection)
            raise
        self._idle.append(connection)
        return found

    def _reset_after_fork(self) -> None:
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

    def _compile(self, dialect: Dialect) -> tuple[str, Sequence[str]]:
        """Return the statement as SQL, and the names of its parameters in their order."""
        compiled = self._statement.compile(dialect=dialect)
        return str(compiled), tuple(compiled.positiontup or ())

    @abstractmethod
    def _query(
        self, connection: Any, digest: bytes | None, identifier: str | None, now: datetime
    ) -> Found:
        """Run the query on a connection."""
