"""The buffer that requests add their activity to, and the thread that empties it."""

import logging
import threading
from datetime import UTC, datetime, timedelta

from apidevices.activity.batch import Batch, DeviceUpdate
from apidevices.activity.writer import ActivityWriter
from apidevices.database import Database
from apidevices.processes import after_fork, at_exit

logger = logging.getLogger(__name__)

DEVICE_TOKEN_INTERVAL = timedelta(minutes=1)
"""A device's use of a token is written at most once in this time. Writing it each time would double
the number of rows written."""


class ActivityBuffer:
    """Activity that is not in the database yet; one buffer in each process.

    Args:
        db: where to write.
        interval: seconds between two writes at most.
        limit: devices, and pairs of device and token, to keep while the database is unavailable.
    """

    _batch: Batch
    # Pairs of device and token that were written, since a time at most DEVICE_TOKEN_INTERVAL ago.
    _written: set[tuple[int, int]]
    _written_since: datetime
    _lock: threading.Lock  # guards the three above
    _flush_lock: threading.Lock  # one write at a time
    _closed: threading.Event
    _thread: threading.Thread | None

    def __init__(self, db: Database, *, interval: float, limit: int) -> None:
        self._db = db
        self._writer = ActivityWriter(db)
        self._interval = interval
        self._limit = limit
        self._reset()
        # What the parent collected is the parent's to write, and the child lacks its thread.
        after_fork(self._reset)
        at_exit(self.close)

    def record_request(
        self, device_id: int, token_id: int | None, now: datetime, *, upload: bool
    ) -> None:
        """Record a request of a device that was let through; ``upload`` for a POST."""
        with self._lock:
            self._batch.add_device(device_id, DeviceUpdate(now, now if upload else None))
            if token_id is not None:
                self._add_device_token((device_id, token_id), now)
        self._ensure_thread()

    def record_token_use(self, token_id: int, now: datetime) -> None:
        """Record a request with a token that named no device."""
        with self._lock:
            self._batch.add_token(token_id, now)
        self._ensure_thread()

    def record_denial(self, device_id: int, now: datetime) -> None:
        """Record a request that was denied because its device is blocked."""
        with self._lock:
            self._batch.add_device(device_id, DeviceUpdate(denied=1, denied_at=now))
        self._ensure_thread()

    def flush(self) -> None:
        """Write everything recorded before this call.

        If that fails, the failure is logged, not raised, and the next flush tries again.
        """
        with self._flush_lock:
            with self._lock:
                batch, self._batch = self._batch, Batch()
            if not batch:
                return
            try:
                with self._db.write() as session:
                    self._writer.write(session.connection(), batch)
                with self._lock:
                    if len(self._written) + len(batch.device_tokens) <= self._limit:
                        self._written.update(batch.device_tokens)
            except Exception as error:  # any kind: the thread must survive to try again
                logger.warning("Activity could not be written, will try again: %s", error)
                with self._lock:
                    batch.extend(self._batch, self._limit)
                    self._batch = batch

    def close(self) -> None:
        """Write what is left and end the thread; runs by itself when the process exits."""
        self._closed.set()
        self.flush()

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
        self._thread = None

    def _ensure_thread(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._flush_periodically, name="apidevices-activity", daemon=True
                    )
                    self._thread.start()

    def _flush_periodically(self) -> None:
        while not self._closed.wait(self._interval):
            self.flush()
