"""The buffer that requests record their activity in, and the thread that flushes it."""

import logging
import threading
from collections import deque
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import NamedTuple

from apidevices import metrics
from apidevices.activity.batch import Batch
from apidevices.activity.counts import Counter
from apidevices.activity.writer import ActivityWriter
from apidevices.database import Database, DatabaseUnavailable
from apidevices.metrics import Metrics
from apidevices.processes import after_fork, at_exit

logger = logging.getLogger(__name__)

DEVICE_TOKEN_INTERVAL = timedelta(minutes=1)
"""The minimum time between two writes of a device's use of a token. Writing it on every flush would
double the number of written rows."""

MAX_EVENTS = 10_000
"""The maximum number of events to keep before they are merged into a batch."""

Event = tuple[int | None, int | None, datetime, bool, str | None]
"""A request: device id, token id, time, whether it was an upload and, if it was denied, the address
that it came from. A plain tuple, because each request creates one."""


class BufferLoad(NamedTuple):
    """How much activity waits to be written: see ``ActivityBuffer.load``."""

    entries: int
    fill: float
    age: float


class ActivityBuffer:
    """Activity that has not been written to the database yet. Each process has its own buffer.

    A request only appends an event. Merging the events before each flush, in one loop, takes a
    fraction of the time that it would take in the requests.

    Args:
        db: The database to write to.
        interval: Seconds between two flushes.
        limit: How many devices, how many (device, token) pairs and how many daily counts to keep
            at most while the database is unavailable.
        metrics: Counts flushes.
    """

    _events: deque[Event]  # newer than the batch; its methods are atomic
    _batch: Batch
    # (device id, token id) pairs written since _written_since, at most DEVICE_TOKEN_INTERVAL ago.
    _written: set[tuple[int, int]]
    _written_since: datetime
    _lock: threading.Lock  # guards the attributes above, except for new events
    _flush_lock: threading.Lock  # allows one flush at a time
    _closed: threading.Event
    _retired: bool
    _thread: threading.Thread | None

    _complete_until: float  # by monotonic(): all activity recorded before has been written

    def __init__(
        self, db: Database, *, interval: float, limit: int, metrics: Metrics | None = None
    ) -> None:
        self._db = db
        self._metrics = metrics or Metrics()
        self._writer = ActivityWriter(db)
        self._counter = Counter(db, limit)
        self._interval = interval
        self._limit = limit
        self._reset()
        # A forked child starts empty: the parent writes what it has recorded, and the parent's
        # thread does not exist in the child.
        after_fork(self._reset)
        at_exit(self.close)

    def record_request(
        self, device_id: int, token_id: int | None, now: datetime, *, upload: bool
    ) -> None:
        """Record an allowed request by a device; ``upload`` if it was a POST."""
        self._record((device_id, token_id, now, upload, None))

    def record_token_use(self, token_id: int, now: datetime) -> None:
        """Record a request with a token but no device identifier."""
        self._record((None, token_id, now, False, None))

    def record_denial(
        self, device_id: int, now: datetime, token_id: int | None = None, address: str | None = None
    ) -> None:
        """Record a request that was denied because the device is blocked.

        It counts as no use of its token.
        """
        self._record((device_id, token_id, now, False, address or ""))

    def flush(self, *, counts: bool = False) -> None:
        """Write all activity recorded before this call; daily counts only if they are due.

        Errors are logged, not raised; the next flush retries.

        Args:
            counts: Write the daily counts even if they are not due.
        """
        with self._flush_lock:
            started = monotonic()
            with self._lock:
                self._merge_events()
                batch, self._batch = self._batch, Batch()
                counts = counts or self._counter.is_due
            try:
                if batch:
                    self._write(batch)
                    self._count_flush(len(batch), started)
                self._complete_until = started
                if counts:
                    self._counter.write(self._lock)
            except Exception as error:  # of any kind: the thread must survive to retry
                self._metrics.count(metrics.FLUSH_ERRORS)
                if not isinstance(error, DatabaseUnavailable):  # it has been logged
                    logger.warning("Could not write activity times; retrying: %s", error)
                with self._lock:
                    self._counter.drop_oldest()

    @property
    def load(self) -> BufferLoad:
        """How much activity waits to be written.

        ``entries`` are rows to write, ``fill`` is the fraction of the limit that is used, and
        ``age`` is the age of the oldest entry in seconds, or slightly more.
        """
        with self._lock:
            batch = self._batch
            events = len(self._events)  # each becomes a row, unless it has one already
            largest = max(len(batch.active_at), len(batch.denied), len(batch.last_used_at))
            age = monotonic() - self._complete_until if batch or events else 0.0
            return BufferLoad(len(batch) + events, min((largest + events) / self._limit, 1.0), age)

    def retire(self) -> None:
        """Let the thread end after one more flush. Safe to call during garbage collection."""
        # Not _closed.set(): the collecting thread may be inside that event, holding its lock.
        self._retired = True

    def close(self) -> None:
        """Flush and stop the thread. Called automatically when the process exits."""
        self._closed.set()
        self.flush(counts=True)
        if self._batch:  # of devices that have just been merged into others
            self.flush()

    def _write(self, batch: Batch) -> None:
        try:
            with self._db.write(essential=False) as session:
                moved = self._writer.write(session.connection(), batch)
        except Exception:
            with self._lock:
                batch.extend(self._batch, self._limit)
                self._batch = batch
            raise
        with self._lock:
            if moved:
                moved.extend(self._batch, self._limit)
                self._batch = moved
            if len(self._written) + len(batch.last_used_at) <= self._limit:
                self._written.update(batch.last_used_at)

    def _count_flush(self, rows: int, started: float) -> None:
        now = monotonic()
        self._metrics.observe(metrics.FLUSH_ROWS, rows)
        self._metrics.observe(metrics.FLUSH_SECONDS, now - started)
        self._metrics.observe(metrics.FLUSH_DELAY, now - self._complete_until)

    def _record(self, event: Event) -> None:
        self._events.append(event)
        if self._thread is None:
            self._start_thread()
        if len(self._events) > MAX_EVENTS:  # a flush takes long, or the buffer is closed
            with self._lock:
                self._merge_events()

    def _merge_events(self) -> None:
        """Merge all events into the batch. Requires the lock."""
        batch, counts = self._batch, self._counter.counts
        time_text = self._db.backend.time_text
        for _ in range(len(self._events)):
            device_id, token_id, at, upload, denied_from = self._events.popleft()
            time = time_text(at)
            if device_id is not None:
                day = time[:10]
                if denied_from is not None:
                    batch.add_denials((device_id, day), 1, time, time, (denied_from, token_id))
                    counts.add_denial(day)
                    continue
                batch.add_request(device_id, time, upload=upload)
                counts.add_request(device_id, day, upload=upload)
            if token_id is not None:
                batch.add_token_use(token_id, time)
                if device_id is not None and self._is_due((device_id, token_id), at):
                    batch.add_device_token((device_id, token_id), time, time)

    def _is_due(self, pair: tuple[int, int], at: datetime) -> bool:
        """Return whether a device's use of a token at this time must be written."""
        # The absolute value, because the clock may have been set back.
        if abs(at - self._written_since) >= DEVICE_TOKEN_INTERVAL:
            self._written, self._written_since = set(), at
        return pair not in self._written

    def _reset(self) -> None:
        self._events = deque()
        self._batch = Batch()
        self._counter.reset()
        self._written, self._written_since = set(), datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._closed = threading.Event()
        self._retired = False
        self._thread = None
        self._complete_until = monotonic()

    def _start_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                self._complete_until = monotonic()  # the first activity is new
                self._thread = threading.Thread(
                    target=self._flush_periodically, name="apidevices-activity", daemon=True
                )
                self._thread.start()

    def _flush_periodically(self) -> None:
        retired = False
        while not retired and not self._closed.wait(self._interval):
            retired = self._retired
            self.flush(counts=retired)
