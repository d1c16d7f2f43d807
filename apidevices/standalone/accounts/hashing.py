"""Password hashes, with a limit on how many a process computes at once.

A hash takes much memory and a whole processor core, so that guessing is expensive. Without a limit,
a few parallel guessers would take all memory, all cores and all threads from the API.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from passlib.context import CryptContext

from apidevices.toolkit import LimitReached

CONCURRENT = 2
"""Hashes that a process computes at once. One of them is reserved for calls with precedence."""

SHARE = 0.25
"""Share of the time in which a process computes hashes without precedence. The pauses leave the
processor to the API."""

WAITING = 1
"""Threads that may wait for a slot with precedence, and as many without."""

PATIENCE = 5
"""Seconds to wait at most."""

BUSY = "password_hashes"
"""Name of the limit in ``LimitReached``."""


class Slots:
    """Permissions to compute a hash."""

    def __init__(self) -> None:
        self._all = threading.Semaphore(CONCURRENT)
        self._without_precedence = threading.Semaphore(CONCURRENT - 1)
        self._admitted = {
            True: threading.Semaphore(CONCURRENT + WAITING),
            False: threading.Semaphore(CONCURRENT - 1 + WAITING),
        }
        self._thread = threading.local()
        self._next_without_precedence = 0.0

    @contextmanager
    def hold(self, *, precedence: bool = True) -> Iterator[None]:
        """Hold a slot within the block. A thread that holds one gets no second one.

        Args:
            precedence: Use the reserved slot too. False for clients that nothing vouches for.

        Raises:
            LimitReached: Too many threads wait already, or the wait takes too long.
        """
        if getattr(self._thread, "holds", False):
            yield
            return
        with _acquired(self._admitted[precedence], 0):
            if precedence:
                with _acquired(self._all, PATIENCE), self._marked():
                    yield
            else:
                with (
                    _acquired(self._without_precedence, PATIENCE),
                    self._paused(),
                    _acquired(self._all, PATIENCE),
                    self._marked(),
                ):
                    yield

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Wait until the previous hash is long enough ago."""
        time.sleep(max(0.0, self._next_without_precedence - time.monotonic()))
        started = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            pause = min((ended - started) * (1 / SHARE - 1), PATIENCE / 2)
            self._next_without_precedence = ended + pause

    @contextmanager
    def _marked(self) -> Iterator[None]:
        self._thread.holds = True
        try:
            yield
        finally:
            self._thread.holds = False


slots = Slots()
"""The slots of this process."""


class PasswordHashes(CryptContext):
    """Computes hashes within the limit, in whatever code needs them."""

    def hash(self, *args: Any, **kwargs: Any) -> str:
        """Return the hash of a password."""
        with slots.hold():
            return str(super().hash(*args, **kwargs))

    def verify(self, *args: Any, **kwargs: Any) -> bool:
        """Return whether a password matches a hash."""
        with slots.hold():
            return bool(super().verify(*args, **kwargs))


@contextmanager
def _acquired(semaphore: threading.Semaphore, timeout: float) -> Iterator[None]:
    if not semaphore.acquire(timeout=timeout):
        raise LimitReached(BUSY, 2)
    try:
        yield
    finally:
        semaphore.release()
