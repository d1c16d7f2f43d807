"""Activity on its way to the database: noted in memory by requests, written by a thread.

A request must not wait for a write, and a thousand requests of one device within a second are one
row's worth of news. So each process keeps what is newest of each device, and a thread writes it
at least once an interval. Times only ever move forward, in memory and in the database.
"""

import logging
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, Self

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    Update,
    case,
    exists,
    select,
    update,
)
from sqlalchemy.sql.elements import SQLCoreOperations

from apidevices.database import BulkStatement, Database
from apidevices.models import ApiToken, Device, DeviceActivity, DeviceToken, Id, UTCDateTime
from apidevices.processes import after_fork, at_exit

logger = logging.getLogger(__name__)


USE_INTERVAL = timedelta(minutes=1)
"""How exactly it is kept when a device last used a token: it would double what is written."""


class _News(NamedTuple):
    """What is new of one device since it was last written."""

    active_at: datetime | None = None
    upload_at: datetime | None = None
    denied: int = 0
    denied_at: datetime | None = None

    def merged(self, other: Self) -> Self:
        return self._replace(
            active_at=_later(self.active_at, other.active_at),
            upload_at=_later(self.upload_at, other.upload_at),
            denied=self.denied + other.denied,
            denied_at=_later(self.denied_at, other.denied_at),
        )


@dataclass(slots=True)
class _Batch:
    """What is new of everything since it was last written."""

    devices: dict[int, _News] = field(default_factory=dict)
    # (device, token) -> first and last use of the token by the device
    uses: dict[tuple[int, int], tuple[datetime, datetime]] = field(default_factory=dict)
    # token -> last use
    tokens: dict[int, datetime] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.devices or self.uses or self.tokens)

    def add(self, device_id: int, news: _News) -> None:
        known = self.devices.get(device_id)
        self.devices[device_id] = news if known is None else known.merged(news)

    def add_use(self, pair: tuple[int, int], first: datetime, last: datetime) -> None:
        known_first, known_last = self.uses.get(pair, (first, last))
        self.uses[pair] = (min(known_first, first), max(known_last, last))

    def add_token(self, token_id: int, moment: datetime) -> None:
        known = self.tokens.get(token_id)
        if known is None or known < moment:
            self.tokens[token_id] = moment

    def merge(self, other: "_Batch", limit: int) -> None:
        """Add what came later; beyond the limit, what has waited longest is dropped."""
        for device_id, news in other.devices.items():
            self.add(device_id, news)
        for pair, (first, last) in other.uses.items():
            self.add_use(pair, first, last)
        for token_id, moment in other.tokens.items():
            self.add_token(token_id, moment)
        self.devices = dict(list(self.devices.items())[-limit:])
        self.uses = dict(list(self.uses.items())[-limit:])


def _later(known: datetime | None, moment: datetime | None) -> datetime | None:
    if known is None or moment is None:
        return known or moment
    return max(known, moment)


class ActivityBuffer:
    """What requests noted and the database doesn't know yet; one in each process.

    Args:
        db: where to write.
        interval: seconds between two writes at most.
        limit: devices, and pairs of device and token, that are kept while they can't be written.
    """

    _batch: _Batch
    # Uses of tokens that were written, since a time that is USE_INTERVAL ago at most.
    _recent: set[tuple[int, int]]
    _recent_since: datetime
    _lock: threading.Lock
    _writing: threading.Lock
    _closing: threading.Event
    _thread: threading.Thread | None

    def __init__(self, db: Database, *, interval: float, limit: int) -> None:
        self._db = db
        self._interval = interval
        self._limit = limit
        moment = UTCDateTime()
        self._touch = BulkStatement(
            db,
            _touch,
            id=Id,
            active_at=moment,
            upload_at=moment,
            denied=BigInteger(),
            denied_at=moment,
        )
        self._use = BulkStatement(
            db,
            partial(_use, db),
            device_id=Id,
            token_id=Id,
            first_used_at=moment,
            last_used_at=moment,
        )
        self._use_token = BulkStatement(db, _use_token, id=Id, used_at=moment)
        self._reset()
        # What the parent noted is the parent's to write, and its thread is not in the child.
        after_fork(self._reset)
        at_exit(self.close)

    def note(self, device_id: int, token_id: int | None, now: datetime, *, upload: bool) -> None:
        """Note a request of a device that was let through; ``upload`` for a POST."""
        with self._lock:
            self._batch.add(device_id, _News(now, now if upload else None))
            if token_id is not None:
                self._note_use((device_id, token_id), now)
        self._wake()

    def note_token(self, token_id: int, now: datetime) -> None:
        """Note a request that named no device."""
        with self._lock:
            self._batch.add_token(token_id, now)
        self._wake()

    def note_denied(self, device_id: int, now: datetime) -> None:
        """Note a request that was denied because its device is blocked."""
        with self._lock:
            self._batch.add(device_id, _News(denied=1, denied_at=now))
        self._wake()

    def flush(self) -> None:
        """Write everything that was noted before this call.

        What can't be written is kept for the next time; the failure is logged, not raised.
        """
        with self._writing:
            with self._lock:
                batch, self._batch = self._batch, _Batch()
            if not batch:
                return
            try:
                with self._db.write() as session:
                    self._write(session.connection(), batch)
                with self._lock:
                    if len(self._recent) + len(batch.uses) <= self._limit:
                        self._recent.update(batch.uses)
            except Exception as error:  # whatever it was, the thread goes on and tries again
                logger.warning("Activity could not be written, will try again: %s", error)
                with self._lock:
                    batch.merge(self._batch, self._limit)
                    self._batch = batch

    def close(self) -> None:
        """Write what is left and end the thread; at the exit of the process."""
        self._closing.set()
        self.flush()

    def _write(self, connection: Connection, batch: _Batch) -> None:
        self._db.lock(connection, DeviceActivity.device_id, batch.devices)
        self._db.lock(connection, ApiToken.id, batch.tokens)
        self._touch.run(connection, [(id_, *news) for id_, news in sorted(batch.devices.items())])
        self._use.run(connection, [(*pair, *times) for pair, times in sorted(batch.uses.items())])
        self._use_token.run(connection, sorted(batch.tokens.items()))

    def _note_use(self, pair: tuple[int, int], now: datetime) -> None:
        if now - self._recent_since >= USE_INTERVAL:
            self._recent, self._recent_since = set(), now
        if pair not in self._recent:
            self._batch.add_use(pair, now, now)
        self._batch.add_token(pair[1], now)

    def _reset(self) -> None:
        self._batch = _Batch()
        self._recent, self._recent_since = set(), datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._thread = None

    def _wake(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._run, name="apidevices-activity", daemon=True
                    )
                    self._thread.start()

    def _run(self) -> None:
        while not self._closing.wait(self._interval):
            self.flush()


def _touch(new: Any) -> Update:
    """Move the times of devices, and add up what was denied."""
    row = DeviceActivity
    return (
        update(row)
        .where(row.device_id == new.id)
        .values(
            last_active_at=_later_of(row.last_active_at, new.active_at),
            last_upload_at=_later_of(row.last_upload_at, new.upload_at),
            last_activity_at=case(
                (row.blocked, row.last_activity_at),
                else_=_later_of(row.last_active_at, new.active_at),
            ),
            denied_count=row.denied_count + new.denied,
            last_denied_at=_later_of(row.last_denied_at, new.denied_at),
        )
    )


def _use(db: Database, new: Any) -> Insert:
    """Note that devices used tokens."""
    # A device or token that somebody removed by hand must not keep the rest from being written.
    there = select(new.device_id, new.token_id, new.first_used_at, new.last_used_at).where(
        exists().where(Device.id == new.device_id), exists().where(ApiToken.id == new.token_id)
    )
    row = DeviceToken
    columns = [row.device_id, row.token_id, row.first_used_at, row.last_used_at]
    insert = db.insert(row).from_select(columns, there)
    return insert.on_conflict_do_update(
        index_elements=[row.device_id, row.token_id],
        set_={"last_used_at": insert.excluded.last_used_at},
        where=row.last_used_at < insert.excluded.last_used_at,
    )


def _use_token(new: Any) -> Update:
    """Move the times of tokens."""
    return (
        update(ApiToken)
        .where(ApiToken.id == new.id)
        .values(last_used_at=_later_of(ApiToken.last_used_at, new.used_at))
    )


def _later_of(known: SQLCoreOperations[Any], new: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the later of two times of which both may be null."""
    return case((known.is_(None), new), (new > known, new), else_=known)
