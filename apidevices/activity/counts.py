"""Daily counts: held in memory, and written about once a minute.

Writing them with each flush would double the number of written rows, and all processes would
compete for the row of ``FleetDay``.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic

from apidevices.activity.count_writer import CountWriter, Row
from apidevices.database import Database

INTERVAL = 60.0
"""Seconds between two writes of a process. The first one follows after a random part of them, so
that processes that were started together don't write at the same time."""

CHUNK = 1_000
"""Maximum rows of devices to write in one transaction. On SQLite, other writes wait for it."""


@dataclass(slots=True)
class DayCounts:
    """Counts that have not been written. Days are texts such as ``2030-05-17``."""

    # day -> device id -> number of allowed requests, and of uploads among them
    requests: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    uploads: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    # day -> number of denied requests of all devices
    denied: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def __bool__(self) -> bool:
        return bool(self.requests or self.denied)

    def __len__(self) -> int:
        """Return the number of rows of devices."""
        return sum(map(len, self.requests.values()))

    def add_request(self, device_id: int, day: str, *, upload: bool) -> None:
        """Count an allowed request of a device."""
        requests = self.requests[day]
        requests[device_id] = requests.get(device_id, 0) + 1
        if upload:
            uploads = self.uploads[day]
            uploads[device_id] = uploads.get(device_id, 0) + 1

    def add_denial(self, day: str) -> None:
        """Count a denied request."""
        self.denied[day] += 1

    def extend(self, newer: "DayCounts") -> None:
        """Add newer counts."""
        for counts, added in ((self.requests, newer.requests), (self.uploads, newer.uploads)):
            for day, numbers in added.items():
                known = counts[day]
                for device_id, number in numbers.items():
                    known[device_id] = known.get(device_id, 0) + number
        for day, number in newer.denied.items():
            self.denied[day] += number

    def take(self, number: int) -> list[Row]:
        """Remove the oldest rows, up to a number, and return them."""
        rows: list[Row] = []
        for day, device_id in list(islice(self._keys(), max(0, number))):
            uploads = self.uploads[day].pop(device_id, 0)
            rows.append((device_id, day, self.requests[day].pop(device_id), uploads))
            if not self.requests[day]:
                del self.requests[day], self.uploads[day]
        return rows

    def put_back(self, rows: list[Row]) -> None:
        """Add rows that have been taken, also as those of other devices."""
        for device_id, day, requests, uploads in rows:
            counted = self.requests[day]
            counted[device_id] = counted.get(device_id, 0) + requests
            if uploads:
                counted = self.uploads[day]
                counted[device_id] = counted.get(device_id, 0) + uploads

    def _keys(self) -> Iterator[tuple[str, int]]:
        for day in sorted(self.requests):
            for device_id in self.requests[day]:
                yield day, device_id


class Counter:
    """Counts of one process, and when they are due to be written.

    Args:
        db: The database to write to.
        limit: How many rows of devices to keep at most while the database is unavailable.
    """

    counts: DayCounts
    """What has been counted. Guarded by the lock of the buffer."""

    def __init__(self, db: Database, limit: int) -> None:
        self._db = db
        self._limit = limit
        self._writer = CountWriter(db)
        self.reset()

    def reset(self) -> None:
        """Forget everything that has been counted."""
        self.counts = DayCounts()
        self._due = monotonic() + INTERVAL * random.SystemRandom().uniform(0, 1)

    @property
    def is_due(self) -> bool:
        """Whether to write the counts now, because of their age or number. Requires the lock."""
        return monotonic() >= self._due or len(self.counts) > self._limit

    def drop_oldest(self) -> None:
        """Drop the oldest rows of devices beyond the limit. Requires the lock."""
        self.counts.take(len(self.counts) - self._limit)

    def write(self, lock: AbstractContextManager[object]) -> None:
        """Write all counts. What could not be written is kept.

        Args:
            lock: Guards ``counts``.
        """
        with lock:
            pending, self.counts = self.counts, DayCounts()
        rows: list[Row] = []
        try:
            while pending:
                rows = pending.take(CHUNK)
                with self._db.write(essential=False) as session:
                    is_last = not pending.requests
                    moved = self._writer.write(session.connection(), rows, pending.denied, is_last)
                rows = []
                pending.denied.clear()
                pending.put_back(moved)
            self._due = monotonic() + INTERVAL
        finally:
            with lock:
                pending.put_back(rows)
                pending.extend(self.counts)
                self.counts = pending
