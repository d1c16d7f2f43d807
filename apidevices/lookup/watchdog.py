"""A thread that aborts queries to servers that have stopped responding.

libpq has no query timeout of its own.
"""

import threading
import time
import weakref
from typing import Protocol

from apidevices.database import LOCK_TIMEOUT


class Abortable(Protocol):
    """A connection that can be aborted. ``waiting_since`` is None while it is idle."""

    waiting_since: float | None

    def abort(self) -> None:
        """Make the current query fail."""


class Watchdog:
    """Watches connections through weak references. The first connection starts its thread."""

    def __init__(self) -> None:
        self._connections: weakref.WeakSet[Abortable] = weakref.WeakSet()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, connection: Abortable) -> None:
        """Watch a connection."""
        self._connections.add(connection)
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="apidevices-watchdog", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(LOCK_TIMEOUT / 3):
            overdue = time.monotonic() - LOCK_TIMEOUT
            for connection in list(self._connections):
                since = connection.waiting_since
                if since is not None and since < overdue:
                    connection.abort()
