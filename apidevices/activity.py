"""Activity on its way to the database: noted in memory by requests, written by a thread.

A request must not wait for a write, and a thousand requests of one device within a second are one
row's worth of news. So each process keeps what is newest of each device, and a thread writes it
at least once an interval, in order of id (two processes that write in different orders deadlock on
PostgreSQL). Times only ever move forward, in memory and in the database.
"""

import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, exists, select, update
from sqlalchemy.sql.elements import SQLCoreOperations

from apidevices.database import Database
from apidevices.models import ApiToken, Device, DeviceActivity, DeviceToken, Id, Moment
from apidevices.processes import after_fork, at_exit

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _News:
    """What is new of one device since it was last written."""

    active_at: datetime | None = None
    upload_at: datetime | None = None
    denied: int = 0
    denied_at: datetime | None = None

    def merge(self, other: "_News") -> None:
        self.active_at = _later(self.active_at, other.active_at)
        self.upload_at = _later(self.upload_at, other.upload_at)
        self.denied += other.denied
        self.denied_at = _later(self.denied_at, other.denied_at)


@dataclass(slots=True)
class _Batch:
    """What is new of everything since it was last written."""

    devices: dict[int, _News] = field(default_factory=dict)
    # (device, token) -> first and last use of the token by the device
    pairs: dict[tuple[int, int], tuple[datetime, datetime]] = field(default_factory=dict)
    # token -> last use
    tokens: dict[int, datetime] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.devices or self.pairs or self.tokens)

    def add(self, device_id: int, news: _News) -> None:
        self.devices.setdefault(device_id, _News()).merge(news)

    def add_use(self, device_id: int, token_id: int, first: datetime, last: datetime) -> None:
        pair = (device_id, token_id)
        known_first, known_last = self.pairs.get(pair, (first, last))
        self.pairs[pair] = (min(known_first, first), max(known_last, last))

    def add_token(self, token_id: int, moment: datetime) -> None:
        self.tokens[token_id] = max(self.tokens.get(token_id, moment), moment)

    def merge(self, other: "_Batch", limit: int) -> None:
        """Add what came later; beyond the limit, what has waited longest is dropped."""
        for device_id, news in other.devices.items():
            self.add(device_id, news)
        for (device_id, token_id), (first, last) in other.pairs.items():
            self.add_use(device_id, token_id, first, last)
        for token_id, moment in other.tokens.items():
            self.add_token(token_id, moment)
        self.devices = dict(list(self.devices.items())[-limit:])
        self.pairs = dict(list(self.pairs.items())[-limit:])


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
    _lock: threading.Lock
    _writing: threading.Lock
    _closing: threading.Event
    _thread: threading.Thread | None

    def __init__(self, db: Database, *, interval: float, limit: int) -> None:
        self._db = db
        self._interval = interval
        self._limit = limit
        self._reset()
        # What the parent noted is the parent's to write, and its thread is not in the child.
        after_fork(self._reset)
        at_exit(self.close)

    def note(self, device_id: int, token_id: int, now: datetime, *, upload: bool) -> None:
        """Note a request of a device that was let through; ``upload`` for a POST."""
        with self._lock:
            self._batch.add(device_id, _News(active_at=now, upload_at=now if upload else None))
            self._batch.add_use(device_id, token_id, now, now)
            self._batch.add_token(token_id, now)
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
                    _write(self._db, session.connection(), batch)
            except Exception as error:  # whatever it was, the thread goes on and tries again
                logger.warning("Activity could not be written, will try again: %s", error)
                with self._lock:
                    batch.merge(self._batch, self._limit)
                    self._batch = batch

    def close(self) -> None:
        """Write what is left and end the thread; at the exit of the process."""
        self._closing.set()
        self.flush()

    def _reset(self) -> None:
        self._batch = _Batch()
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


def _write(db: Database, connection: Connection, batch: _Batch) -> None:
    active = [
        {"id": id_, "active_at": news.active_at, "upload_at": news.upload_at}
        for id_, news in sorted(batch.devices.items())
        if news.active_at
    ]
    denied = [
        {"id": id_, "denied": news.denied, "denied_at": news.denied_at}
        for id_, news in sorted(batch.devices.items())
        if news.denied
    ]
    used = [
        {"device_id": device_id, "token_id": token_id, "first_used_at": first, "last_used_at": last}
        for (device_id, token_id), (first, last) in sorted(batch.pairs.items())
    ]
    tokens = [{"token": id_, "used_at": moment} for id_, moment in sorted(batch.tokens.items())]
    insert = db.insert(DeviceToken).from_select(list(_USE.selected_columns.keys()), _USE)
    use = insert.on_conflict_do_update(
        index_elements=[DeviceToken.device_id, DeviceToken.token_id],
        set_={"last_used_at": insert.excluded.last_used_at},
        where=DeviceToken.last_used_at < insert.excluded.last_used_at,
    )
    for statement, rows in (
        (_TOUCH, active),
        (_COUNT_DENIED, denied),
        (use, used),
        (_USE_TOKEN, tokens),
    ):
        if rows:
            connection.execute(statement, rows)


def _forward(column: SQLCoreOperations[Any], parameter: str) -> ColumnElement[Any]:
    """Return the later of a column and a parameter, where both may be null."""
    new = bindparam(parameter, type_=Moment)
    return case((column.is_(None), new), (new > column, new), else_=column)


_TOUCH = (
    update(DeviceActivity)
    .where(DeviceActivity.device_id == bindparam("id"))
    .values(
        last_active_at=_forward(DeviceActivity.last_active_at, "active_at"),
        last_upload_at=_forward(DeviceActivity.last_upload_at, "upload_at"),
        last_activity_at=case(
            (DeviceActivity.blocked, DeviceActivity.last_activity_at),
            else_=_forward(DeviceActivity.last_active_at, "active_at"),
        ),
    )
)
_COUNT_DENIED = (
    update(DeviceActivity)
    .where(DeviceActivity.device_id == bindparam("id"))
    .values(
        denied_count=DeviceActivity.denied_count + bindparam("denied"),
        last_denied_at=_forward(DeviceActivity.last_denied_at, "denied_at"),
    )
)
# A device or token that somebody removed by hand must not keep the rest from being written.
_USE = select(
    bindparam("device_id", type_=Id).label("device_id"),
    bindparam("token_id", type_=Id).label("token_id"),
    bindparam("first_used_at", type_=Moment).label("first_used_at"),
    bindparam("last_used_at", type_=Moment).label("last_used_at"),
).where(
    exists().where(Device.id == bindparam("device_id")),
    exists().where(ApiToken.id == bindparam("token_id")),
)
_USE_TOKEN = (
    update(ApiToken)
    .where(ApiToken.id == bindparam("token"))
    .values(last_used_at=_forward(ApiToken.last_used_at, "used_at"))
)
