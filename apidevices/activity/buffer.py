"""The buffer that requests record their activity in, and the thread that flushes it."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import NamedTuple

from apidevices import metrics
from apidevices.activity.batch import Batch, DeviceUpdate
from apidevices.activity.writer import ActivityWriter
from apidevices.database import Database
from apidevices.metrics import Metrics
from apidevices.processes import after_fork, at_exit

logger = logging.getLogger(__name__)

DEVICE_TOKEN_INTERVAL = timedelta(minutes=1)
"""The minimum time between two writes of a device's use of a token. Writing it on every flush would
double the number of written rows."""


class BufferLoad(NamedTuple):
    """How much activity waits to be written: see ``ActivityBuffer.load``."""

    entries: int
    fill: float
    age: float


class ActivityBuffer:
    """Activity that has not been written to the database yet. Each process has its own buffer.

    Args:
        db: The database to write to.
        interval: Seconds between two flushes.
        limit: How many devices, and how many (device, token) pairs, to keep at most while the
            database is unavailable.
        metrics: Counts flushes.
    """

    _batch: Batch
    # (device id, token id) pairs written since _written_since, at most DEVICE_TOKEN_INTERVAL ago.
    _written: set[tuple[int, int]]
    _written_since: datetime
    _lock: threading.Lock  # guards the three attributes above
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
        with self._lock:
            self._batch.add_device(device_id, DeviceUpdate(now, now if upload else None))
            if token_id is not None:
                self._add_device_token((device_id, token_id), now)
        self._ensure_thread()

    def record_token_use(self, token_id: int, now: datetime) -> None:
        """Record a request with a token but no device identifier."""
        with self._lock:
            self._batch.add_token(token_id, now)
        self._ensure_thread()

    def record_denial(self, device_id: int, now: datetime) -> None:
        """Record a request that was denied because the device is blocked."""
        with self._lock:
            self._batch.add_device(device_id, DeviceUpdate(denied=1, denied_at=now))
        self._ensure_thread()

    def flush(self) -> None:
        """Write all activity recorded before this call.

        Errors are logged, not raised; the next flush retries.
        """
        with self._flush_lock:
            started = monotonic()
            with self._lock:
                batch, self._batch = self._batch, Batch()
            if not batch:
                self._complete_until = started
                return
            try:
                with self._db.write() as session:
                    self._writer.write(session.connection(), batch)
                with self._lock:
                    if len(self._written) + len(batch.device_tokens) <= self._limit:
                        self._written.update(batch.device_tokens)
                self._count_flush(len(batch), started)
            except Exception as error:  # of any kind: the thread must survive to retry
                self._metrics.count(metrics.FLUSH_ERRORS)
                logger.warning("Could not write activity times; retrying: %s", error)
                with self._lock:
                    batch.extend(self._batch, self._limit)
                    self._batch = batch

    @property
    def load(self) -> BufferLoad:
        """How much activity waits to be written.

        ``entries`` are rows to write, ``fill`` is the fraction of the limit that is used, and
        ``age`` is the age of the oldest entry in seconds, or slightly more.
        """
        with self._lock:
            batch = self._batch
            largest = max(len(batch.devices), len(batch.device_tokens))
            age = monotonic() - self._complete_until if batch else 0.0
            return BufferLoad(len(batch), largest / self._limit, age)

    def retire(self) -> None:
        """Let the thread end after one more flush. Safe to call during garbage collection."""
        # Not _closed.set(): the collecting thread may be inside that event, holding its lock.
        self._retired = True

    def close(self) -> None:
        """Flush and stop the thread. Called automatically when the process exits."""
        self._closed.set()
        self.flush()

    def _count_flush(self, rows: int, started: float) -> None:
        now = monotonic()
        self._metrics.observe(metrics.FLUSH_ROWS, rows)
        self._metrics.observe(metrics.FLUSH_SECONDS, now - started)
        self._metrics.observe(metrics.FLUSH_DELAY, now - self._complete_until)
        self._complete_until = started

    def _add_device_token(self, pair: tuple[int, int], now: datetime) -> None:
        if now - self._written_since >= DEVICE_TOKEN_INTERVAL:
            self._written, self._written_since = set(), now
        if pair not in self._written:
            self._batch.add_device_token(pair, now, now)
        self._batch.add_token(pair[1], now)

    def _reset(self) -> None:
        self._batch = Batch()
        self._written, self._written_since = set(), datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._closed = threading.Event()
        self._retired = False
        self._thread = None
        self._complete_until = monotonic()

    def _ensure_thread(self) -> None:
        if self._thread is None:
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
            self.flush()
