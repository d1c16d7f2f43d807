"""Figures of the whole fleet that are too expensive to count for each visit.

Small fleets get fresh figures for each visit. As soon as a count takes longer than ``QUICK``, it is
stored in the database, and visits read it there. One process at a time counts again, in the
background: a lease in the database ends when the count is due again, so that counting takes up to
1/``SHARE`` of one core. If the process dies, another one takes over when the lease has expired.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from apidevices.database import Database, is_unavailable
from apidevices.models import StoredSnapshot
from apidevices.processes import after_fork

logger = logging.getLogger(__name__)

QUICK = 0.075
"""Up to this many seconds, figures are counted anew for each visit."""

PATIENCE = 0.3
"""Seconds that a visit waits for figures, if they may be counted by then."""

SHARE = 20
"""Counts that take longer than ``QUICK`` rest this many times as long as the latest one took."""

LEASE = timedelta(seconds=30)
"""For how long a process may count before another one takes over; longer if the latest count took
more than a fifth of that."""

RETRY = 5.0
"""Seconds to wait after a failed count."""

KEEP = timedelta(hours=1)
"""When to store the figures of a small fleet again, in case that it grows suddenly."""

JOIN_TIMEOUT = 5.0
"""Seconds to wait for a count when the process stops."""

_POLL = 0.05


class Taken(NamedTuple):
    """Figures, and the time at which they were right."""

    taken_at: datetime
    figures: Mapping[str, Any]


class _Stored(NamedTuple):
    """What the database has. ``seconds`` is how long it took, and ``is_free`` whether to count."""

    taken: Taken | None = None
    seconds: float = 0.0
    is_free: bool = True


class Snapshot:
    """Figures under one name, counted by one process at a time.

    Args:
        db: The database.
        name: The name under which the figures are stored.
        collect: Counts the figures as of a time, and returns them as JSON data. All queries in
            the session see the same data.
    """

    _thread: threading.Thread | None
    _last: Taken | None

    def __init__(
        self,
        db: Database,
        name: str,
        collect: Callable[[Session, datetime], Mapping[str, Any]],
    ) -> None:
        self._db = db
        self._name = name
        self._collect = collect
        self._reset()
        after_fork(self._reset)

    def latest(self, now: datetime, patience: float | None = None) -> Taken | None:
        """Return the figures: fresh ones of a small fleet, else the latest that are stored.

        If the database is unavailable, they are the latest that this process has seen.

        Args:
            now: The current time.
            patience: The maximum number of seconds to wait for figures; ``PATIENCE`` by default.

        Returns:
            The figures, or None if there are none yet: ask again in a second.
        """
        began = monotonic()
        if patience is None:
            patience = PATIENCE
        try:
            stored = self._read()
            is_quick = stored.taken is None or stored.seconds <= QUICK
            if is_quick or (stored.is_free and stored.seconds <= patience):
                return self._wait(began, now, began + patience)
            if stored.is_free:
                self._start(now)
        except SQLAlchemyError as error:
            if not is_unavailable(error):
                raise
            logger.warning("Can't update the figures “%s”: %s", self._name, error)
            return self._last
        self._last = stored.taken
        return stored.taken

    def count(self, now: datetime) -> Taken:
        """Count the figures in this thread, whatever is stored, and return them."""
        with _consistent(self._db) as session:
            return Taken(now, self._collect(session, now))

    def close(self) -> None:
        """Wait a moment for a running count."""
        thread = self._thread
        if thread is not None:
            thread.join(JOIN_TIMEOUT)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._thread = None
        self._is_refused = False
        self._fresh_since = float("-inf")
        self._failed_at = float("-inf")
        self._last = None

    def _wait(self, began: float, now: datetime, deadline: float) -> Taken | None:
        """Return figures of a count that has begun since this visit; others after the deadline."""
        while (thread := self._start(now)) is not None:
            thread.join(max(0.0, deadline - monotonic()))
            if self._fresh_since >= began:
                return self._last
            if monotonic() + _POLL > deadline:
                break
            if self._is_refused:  # another process counts
                sleep(_POLL)
                if self._read().seconds > QUICK:
                    break
        return self._read().taken or self._last

    def _start(self, now: datetime) -> threading.Thread | None:
        """Count in a thread, unless one does so already; return it. None after a failure."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                if monotonic() < self._failed_at + RETRY:
                    return None
                name = f"apidevices-{self._name}"
                self._thread = threading.Thread(
                    target=self._run, args=(now,), name=name, daemon=True
                )
                self._thread.start()
            return self._thread

    def _run(self, now: datetime) -> None:
        try:
            stored = self._read()
            is_quick = stored.taken is not None and stored.seconds <= QUICK
            self._is_refused = not is_quick and not (stored.is_free and self._claim(stored.seconds))
            if self._is_refused:
                return
            taken, seconds = self._count_timed(now)
            if QUICK < seconds < 1 and stored.seconds <= QUICK:
                # Perhaps only because the machine is busy.
                seconds = min(seconds, self._count_timed(now)[1])
            is_kept = stored.taken is not None and abs(now - stored.taken.taken_at) < KEEP
            if not (is_quick and is_kept and seconds <= QUICK):
                self._store(taken, seconds)
        except Exception as error:
            self._failed_at = monotonic()
            if is_unavailable(error):
                logger.warning("Can't count the figures “%s” now: %s", self._name, error)
            else:
                logger.exception("Can't count the figures “%s”.", self._name)

    def _count_timed(self, now: datetime) -> tuple[Taken, float]:
        began = monotonic()
        taken = self.count(now)
        self._last = taken
        self._fresh_since = began
        return taken, monotonic() - began

    def _read(self) -> _Stored:
        is_free = StoredSnapshot.leased_until <= self._db.backend.now()
        query = select(StoredSnapshot, is_free).where(StoredSnapshot.name == self._name)
        with self._db.read() as session:
            row = session.execute(query).first()
        if row is None:
            return _Stored()
        found, free = row
        taken = None
        if found.taken_at is not None and found.figures is not None:
            taken = Taken(found.taken_at, found.figures)
        return _Stored(taken, found.seconds, bool(free))

    def _claim(self, seconds: float) -> bool:
        """Make sure that no other process counts. Return whether this one may."""
        now = self._db.backend.now()
        until = self._db.backend.now(max(LEASE, timedelta(seconds=5 * seconds)))
        claim = (
            self._db.insert(StoredSnapshot)
            .values(name=self._name, seconds=seconds, leased_until=until)
            .on_conflict_do_update(
                index_elements=[StoredSnapshot.name],
                set_={"leased_until": until},
                where=StoredSnapshot.leased_until <= now,
            )
            .returning(StoredSnapshot.name)
        )
        with self._db.write(essential=False) as session:
            return session.execute(claim).first() is not None

    def _store(self, taken: Taken, seconds: float) -> None:
        rest = SHARE * seconds if seconds > QUICK else 0
        values = {
            "taken_at": taken.taken_at,
            "figures": taken.figures,
            "seconds": seconds,
            "leased_until": self._db.backend.now(timedelta(seconds=rest)),
        }
        store = (
            self._db.insert(StoredSnapshot)
            .values(name=self._name, **values)
            .on_conflict_do_update(index_elements=[StoredSnapshot.name], set_=values)
        )
        with self._db.write(essential=False) as session:
            session.execute(store)


@contextmanager
def _consistent(db: Database) -> Iterator[Session]:
    """Open a session whose queries see the same data, unless that would hold up all writes."""
    with db.read() as session:
        holds_up = db.backend.reads_hold_up_writes(session)
    if holds_up:
        with db.read() as session:
            yield session
        return
    with db.snapshot() as session:
        db.backend.run_calmly(session)
        yield session
