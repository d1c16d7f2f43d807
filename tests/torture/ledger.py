"""What the server has promised: everything that it acknowledged, and when it was hurt."""

import threading
import time
from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, TypeVar

from apidevices.database import LOCK_TIMEOUT
from tests.replay import Details

T = TypeVar("T")

STANDSTILL = 0.25
"""Seconds without any acknowledged write that mean that none could be done."""


@dataclass(frozen=True)
class Promise(Generic[T]):
    """A value that one client alone changes, as far as that client can know it.

    A request that was cut off may have been done or not: until the next answer, the value is the
    last one acknowledged or any that was asked for since. A promise is never changed but replaced,
    so one that is still the same object has stood all the while.
    """

    kept: T
    perhaps: tuple[T, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether nothing is uncertain."""
        return not self.perhaps

    def asked(self, value: T) -> "Promise[T]":
        """Return what is known once a value is asked for."""
        return Promise(self.kept, (*self.perhaps, value))

    def allows(self, found: T) -> bool:
        """Tell whether a value may be what is stored."""
        return found == self.kept or found in self.perhaps


@dataclass(frozen=True)
class Span:
    """From when to when something went on."""

    started: float
    ended: float

    def overlaps(self, other: "Span") -> bool:
        """Tell whether the two overlap."""
        return self.started <= other.ended and other.started <= self.ended


@dataclass
class DeviceRecord:
    """What one device, and the administrator on its behalf, was promised.

    The details, calls and uploads are written by the device's client alone, name and block by the
    administrator alone.
    """

    identifier: str
    says: Details
    id: int | None = None
    details: Promise[Details | None] = Promise(None)
    name: Promise[str | None] = Promise(None)
    blocked: Promise[bool] = Promise(False)
    # Every value of a detail that was acknowledged; each is sent as new once.
    reported: set[tuple[str, str]] = field(default_factory=set)
    # Names, blocks and unblocks that were acknowledged.
    done: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    uploads: dict[int, str] = field(default_factory=dict)
    calls: list[Span] = field(default_factory=list)


class Ledger:
    """All records, and the moments at which something was killed. Any thread may write."""

    def __init__(self) -> None:
        self.devices: list[DeviceRecord] = []
        self.kills: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.slowest = 0.0
        self._unavailable: list[Span] = []
        self._written: list[float] = []
        self._worker_kills: list[float] = []
        self._outages: list[Span] = []
        self._lock = threading.Lock()

    def answered(self, outcome: str, started: float) -> None:
        """Count a request by its status, or by how it failed."""
        now = time.time()
        with self._lock:
            self.requests[outcome] += 1
            self.slowest = max(self.slowest, now - started)
            if outcome == "503":
                self._unavailable.append(Span(started, now))

    def acknowledge(self, operation: str, *, written: bool = True) -> None:
        """Count an operation that was acknowledged; ``written`` if it waited for the disk."""
        with self._lock:
            self.acknowledged[operation] += 1
            if written:
                self._written.append(time.time())

    def complain(self, complaint: str) -> None:
        """Note an answer that should never have been given."""
        with self._lock:
            self.wrong.append(complaint)

    def killed(self, what: str, *, workers: bool) -> None:
        """Note a kill that was just done; ``workers`` where what they remember is gone."""
        self.kills[what] += 1
        if workers:
            self._worker_kills.append(time.time())

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Note that there is no database meanwhile."""
        started = time.time()
        try:
            yield
        finally:
            self._outages.append(Span(started, time.time()))

    @property
    def needless_refusals(self) -> list[Span]:
        """When requests were answered 503 with a database at hand, and without patience."""
        return [
            span
            for span in self._unavailable
            if span.ended - span.started < LOCK_TIMEOUT
            and not any(span.overlaps(outage) for outage in self._outages)
        ]

    def age_when_killed(self, call: Span) -> float | None:
        """Return how long before the next kill of a worker a call was answered, in seconds.

        Time in which nobody's writes were done does not count: there is no database, or the disk
        is busy. None if no worker was killed since.
        """
        # Since the start: an answer may reach its client only after the kill.
        kill = min((kill for kill in self._worker_kills if kill >= call.started), default=None)
        if kill is None:
            return None
        between = slice(bisect(self._written, call.ended), bisect(self._written, kill))
        moments = [call.ended, *self._written[between], kill]
        return sum(
            later - earlier for earlier, later in pairwise(moments) if later - earlier < STANDSTILL
        )
