"""A PostgreSQL connection in pipeline mode: queries are sent before earlier results arrive.

Source: libpq's documentation, "Pipeline Mode". All queries that arrive in one iteration of the
event loop are sent at once, followed by a sync point.
"""

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from apidevices.database import LOCK_TIMEOUT
from apidevices.lookup.base import LookupFailed
from apidevices.lookup.postgresql import LibpqConnection
from apidevices.lookup.statement import Statement

_CHECK_INTERVAL = LOCK_TIMEOUT / 5
"""Seconds between two checks for queries without a response."""

_CONNECTION_OK = 0  # libpq's ConnStatusType
_TUPLES_OK = 2  # libpq's ExecStatusType
_FATAL_ERROR = 7


class PipelineBroken(Exception):
    """The query has no result and can be retried on another connection."""


Parameters = Sequence[bytes | None]


class _Sent(NamedTuple):
    """A query without a result yet. ``result`` is None for a sync point."""

    result: "asyncio.Future[Any] | None"
    at: float


class Pipeline:
    """Runs one statement for many tasks of an event loop on one connection.

    Args:
        connection: A connection on which the statement can run. It is closed on any error.
        statement: The statement.
    """

    def __init__(self, connection: LibpqConnection, statement: Statement) -> None:
        self.is_closed = False
        self._connection = connection
        self._pgconn = connection.pgconn
        self._statement = statement
        self._loop = asyncio.get_running_loop()
        self._queued: list[tuple[Parameters, asyncio.Future[Any]]] = []
        self._sent: deque[_Sent] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        # A duplicate, because libpq closes its own as soon as it finds the connection lost.
        self._socket = os.dup(self._pgconn.socket)
        self._loop.add_reader(self._socket, self._receive)

    async def execute(self, parameters: Parameters) -> Any:
        """Run the statement and return its libpq result.

        Raises:
            LookupFailed: The server did not respond in time.
            PipelineBroken: The connection was lost, or the server reported an error.
        """
        if self.is_closed:
            raise PipelineBroken
        result = self._loop.create_future()
        if not self._queued:
            self._loop.call_soon(self._send)
        self._queued.append((parameters, result))
        return await result

    def close(self, error: Exception | None = None) -> None:
        """Close the connection. Queries without a result fail with this error."""
        if self.is_closed:
            return
        self.is_closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        os.close(self._socket)
        if self._timer is not None:
            self._timer.cancel()
        self._connection.close()
        waiting = [sent.result for sent in self._sent] + [result for _, result in self._queued]
        self._sent.clear()
        self._queued.clear()
        for result in waiting:
            if result is not None and not result.done():
                result.set_exception(error or PipelineBroken())

    def _send(self) -> None:
        if self.is_closed:
            return
        queued, self._queued = self._queued, []
        now = self._loop.time()
        self._sent.extend(_Sent(result, now) for _, result in queued)
        self._sent.append(_Sent(None, now))
        try:
            for parameters, _ in queued:
                self._statement.send(self._pgconn, parameters)
            self._pgconn.pipeline_sync()
            self._flush()
        except self._connection.error:
            self.close()
        if self._timer is None and not self.is_closed:
            self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check_time)

    def _flush(self) -> None:
        if self._pgconn.flush():  # the socket's buffer is full
            self._loop.add_writer(self._socket, self._flush_later)

    def _flush_later(self) -> None:
        self._loop.remove_writer(self._socket)
        try:
            self._flush()
        except self._connection.error:
            self.close()

    def _receive(self) -> None:
        try:
            self._pgconn.consume_input()
            is_end = False  # None ends the results of a query; two of them, all results
            while self._sent and not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is not None:
                    self._deliver(result)
                elif is_end:
                    break
                is_end = result is None
        except self._connection.error:
            self.close()
        else:
            if self._pgconn.status != _CONNECTION_OK:
                self.close()

    def _deliver(self, result: Any) -> None:
        waiting = self._sent.popleft().result
        if waiting is None or waiting.done():
            return
        if result.status == _TUPLES_OK:
            waiting.set_result(result)
            return
        if result.status == _FATAL_ERROR:  # else an earlier query of the same batch has failed
            self._statement.stop_preparing(result)
            self._loop.call_soon(self.close)  # the statement may be unusable on this connection
        waiting.set_exception(PipelineBroken())

    def _check_time(self) -> None:
        self._timer = None
        if not self._sent:
            return
        if self._sent[0].at < self._loop.time() - LOCK_TIMEOUT:
            self.close(LookupFailed("the database does not respond"))
        else:
            self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check_time)
