"""What the server has acknowledged, and when its processes were killed."""

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

STALL = 0.25
"""If no write is acknowledged for this many seconds, writes are assumed to be impossible."""


@dataclass(frozen=True)
class Expected(Generic[T]):
    """The stored value of something that only one client changes, as far as the client knows.

    A request without a response may or may not have been processed. Until the next response, the
    stored value is the last acknowledged one or any that was requested since.

    Instances are immutable: if a client still holds the same instance, nothing has changed.
    """

    acknowledged: T
    requested: tuple[T, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether the value can only be the acknowledged one."""
        return not self.requested

    def request(self, value: T) -> "Expected[T]":
        """Return the expectation after a request to change the value."""
        return Expected(self.acknowledged, (*self.requested, value))

    def allows(self, stored: T) -> bool:
        """Return whether a stored value is consistent with the responses."""
        return stored == self.acknowledged or stored in self.requested


@dataclass(frozen=True)
class Span:
    """A period of time, in seconds since the epoch."""

    started: float
    ended: float

    def overlaps(self, other: "Span") -> bool:
        """Return whether two spans overlap."""
        return self.started <= other.ended and other.started <= self.ended


@dataclass
class DeviceRecord:
    """What the server has acknowledged to one device, and to the administrator about it.

    Only the device's client writes its details, values, calls and uploads; only the administrator
    writes its name, block and operations.
    """

    identifier: str
    current_details: Details
    id: int | None = None
    details: Expected[Details | None] = Expected(None)
    name: Expected[str | None] = Expected(None)
    blocked: Expected[bool] = Expected(False)
    # All acknowledged (field, value) pairs. A device changes a field to the same value only once.
    acknowledged_values: set[tuple[str, str]] = field(default_factory=set)
    # How many renames, blocks and unblocks were requested, and how many were acknowledged.
    requested: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    # Acknowledged uploads by id.
    uploads: dict[int, str] = field(default_factory=dict)
    calls: list[Span] = field(default_factory=list)


class Ledger:
    """All device records and the times of all kills. Thread-safe."""

    def __init__(self) -> None:
        self.devices: list[DeviceRecord] = []
        self.kills: Counter[str] = Counter()
        self.responses: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()
        self.wrong_responses: list[str] = []
        self.slowest_response = 0.0
        self._unavailable: list[Span] = []
        self._written: list[float] = []
        self._worker_kills: list[float] = []
        self._outages: list[Span] = []
        self._lock = threading.Lock()

    def record_response(self, outcome: str, started: float) -> None:
        """Count a request by its status or its error."""
        now = time.time()
        with self._lock:
            self.responses[outcome] += 1
            self.slowest_response = max(self.slowest_response, now - started)
            if outcome == "503":
                self._unavailable.append(Span(started, now))

    def record_acknowledged(self, operation: str, *, written: bool = True) -> None:
        """Count an acknowledged operation. ``written``: whether it had to wait for the disk."""
        with self._lock:
            self.acknowledged[operation] += 1
            if written:
                self._written.append(time.time())

    def record_wrong_response(self, description: str) -> None:
        """Record a response that the server must never send."""
        with self._lock:
            self.wrong_responses.append(description)

    def record_kill(self, victim: str, *, workers: bool) -> None:
        """Record a kill. ``workers``: whether it hit workers, which lose unflushed activity."""
        self.kills[victim] += 1
        if workers:
            self._worker_kills.append(time.time())

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Record that the database is unavailable while the context is active."""
        started = time.time()
        try:
            yield
        finally:
            self._outages.append(Span(started, time.time()))

    @property
    def unjustified_503s(self) -> list[Span]:
        """Requests that got a 503 sooner than the lock timeout and not during an outage."""
        return [
            span
            for span in self._unavailable
            if span.ended - span.started < LOCK_TIMEOUT
            and not any(span.overlaps(outage) for outage in self._outages)
        ]

    def age_when_killed(self, call: Span) -> float | None:
        """Return the seconds from the response to a call until the next kill of a worker.

        Periods without any acknowledged write are not counted: the database was unavailable or the
        disk was busy. Return None if no worker has been killed since.
        """
        # Counted from the start of the call: a response can reach its client after the kill.
        kill = min((kill for kill in self._worker_kills if kill >= call.started), default=None)
        if kill is None:
            return None
        between = slice(bisect(self._written, call.ended), bisect(self._written, kill))
        moments = [call.ended, *self._written[between], kill]
        return sum(
            later - earlier for earlier, later in pairwise(moments) if later - earlier < STALL
        )
