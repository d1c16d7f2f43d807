"""A thread that hangs up on servers that stop answering: libpq has no timeout for that."""

import threading
import time
import weakref
from typing import Protocol

from apidevices.database import LOCK_TIMEOUT


class Watched(Protocol):
    """A connection that can be interrupted; ``waiting_since`` is None while it is idle."""

    waiting_since: float | None

    def hang_up(self) -> None:
        """Let the query in progress fail."""


class Watchdog:
    """Watches connections for as long as somebody holds them; its thread starts with the first."""

    def __init__(self) -> None:
        self._connections: weakref.WeakSet[Watched] = weakref.WeakSet()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, connection: Watched) -> None:
        """Watch one more connection."""
        self._connections.add(connection)
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="apidevices-watchdog", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(LOCK_TIMEOUT / 3):
            overdue = time.monotonic() - LOCK_TIMEOUT
            for connection in list(self._connections):
                since = connection.waiting_since
                if since is not None and since < overdue:
                    connection.hang_up()
