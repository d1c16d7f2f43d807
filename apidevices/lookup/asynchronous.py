"""Lookups in an event loop, which must never wait for the database in its own thread."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from apidevices.database import LOCK_TIMEOUT
from apidevices.lookup.base import Found, Lookup, LookupFailed
from apidevices.lookup.pipeline import Pipeline, PipelineBroken
from apidevices.lookup.postgresql import PostgresLookup
from apidevices.lookup.sqlite import SqliteLookup

_CONNECT_TIMEOUT = 2 * LOCK_TIMEOUT
"""Seconds to wait for a connection. libpq's own timeout ends when the server has authenticated the
client, but a connection pooler may let the first query wait."""


class AsyncLookup(ABC):
    """Finds the token and device of a request from within an event loop.

    Args:
        lookup: Runs in a thread whenever the faster way is not possible.
        executor: Provides the threads.
    """

    def __init__(self, lookup: Lookup, executor: ThreadPoolExecutor) -> None:
        self._lookup = lookup
        self._executor = executor

    @abstractmethod
    async def find(self, digest: bytes | None, identifier: str | None, now: datetime) -> Found:
        """Return the valid token with this digest and the device with this identifier.

        Raises:
            LookupFailed: The database is unavailable.
        """

    @abstractmethod
    def close(self) -> None:
        """Close connections."""

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, function, *arguments)


class AsyncSqliteLookup(AsyncLookup):
    """Reads the file in the event loop, which takes less time than handing it to a thread.

    If the database is locked, the read moves to a thread, which waits.
    """

    _lookup: SqliteLookup

    def __init__(self, lookup: SqliteLookup, executor: ThreadPoolExecutor) -> None:
        super().__init__(lookup, executor)
        self._immediate = lookup.without_waiting()

    async def find(self, digest: bytes | None, identifier: str | None, now: datetime) -> Found:
        """Return the valid token with this digest and the device with this identifier."""
        found = self._immediate.find_if_open(digest, identifier, now)
        if found is None:
            found = await self._in_thread(self._find_and_open, digest, identifier, now)
        return found

    def close(self) -> None:
        """Close connections."""
        self._immediate.close()

    def _find_and_open(self, digest: bytes | None, identifier: str | None, now: datetime) -> Found:
        found = self._lookup.find(digest, identifier, now)
        self._immediate.open_if_none()
        return found


class AsyncPostgresLookup(AsyncLookup):
    """Sends the queries of all current requests through one connection, without waiting between.

    A connection that turns out to be stale costs nothing: its queries run again in threads, each
    on a connection of its own. A server that stops responding makes them fail after
    ``LOCK_TIMEOUT``.
    """

    _lookup: PostgresLookup

    def __init__(self, lookup: PostgresLookup, executor: ThreadPoolExecutor) -> None:
        super().__init__(lookup, executor)
        self._pipeline: Pipeline | None = None
        self._opening: asyncio.Task[Pipeline] | None = None
        # A thread of its own: connecting to a server that does not respond takes seconds.
        self._opener = ThreadPoolExecutor(1, "apidevices-connect")

    async def find(self, digest: bytes | None, identifier: str | None, now: datetime) -> Found:
        """Return the valid token with this digest and the device with this identifier."""
        pipeline = self._pipeline
        if pipeline is None or pipeline.is_closed:
            pipeline = await self._open()
        try:
            result = await pipeline.execute(self._lookup.parameters(digest, identifier, now))
        except PipelineBroken:
            found: Found = await self._in_thread(self._lookup.find, digest, identifier, now)
            return found
        return self._lookup.found(result)

    def close(self) -> None:
        """Close the connection."""
        if self._pipeline is not None:
            self._pipeline.close()
        self._opener.shutdown(wait=False)

    async def _open(self) -> Pipeline:
        """Open the connection once for all requests that wait for it."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._connect())
        try:
            return await asyncio.wait_for(asyncio.shield(self._opening), _CONNECT_TIMEOUT)
        except TimeoutError:
            raise LookupFailed("connecting to the database takes too long") from None

    async def _connect(self) -> Pipeline:
        loop = asyncio.get_running_loop()
        try:
            connection = await loop.run_in_executor(self._opener, self._lookup.open)
        finally:
            self._opening = None
        self._pipeline = Pipeline(connection, self._lookup.statement)
        return self._pipeline


def make_async_lookup(lookup: Lookup, executor: ThreadPoolExecutor) -> AsyncLookup:
    """Return the asynchronous counterpart of a lookup."""
    if isinstance(lookup, SqliteLookup):
        return AsyncSqliteLookup(lookup, executor)
    if isinstance(lookup, PostgresLookup):
        return AsyncPostgresLookup(lookup, executor)
    raise TypeError(f"no asynchronous lookup for {lookup!r}")
