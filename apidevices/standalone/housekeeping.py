"""The thread that prunes the database in the background: see ``upkeep``."""

import logging
import random
import threading
import time
from datetime import datetime

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from apidevices.standalone import uploads
from apidevices.standalone.settings import ServerSettings
from apidevices.toolkit import (
    APIDevicesError,
    Database,
    LimitReached,
    State,
    current_state,
    limits,
    upkeep,
)

logger = logging.getLogger("apidevices.housekeeping")

FIRST_RUN = 300.0
"""Seconds between the start and the first run."""

INTERVAL = 3_600.0
"""Seconds between two runs."""

JOIN_TIMEOUT = 5.0
"""Seconds to wait for the current transaction when the server stops."""

MAX_CLOCK_STEP = 86_400.0
"""Seconds by which the clock may be set. After a larger step, the next day's runs are skipped: a
clock that is wrong must not delete anything."""

_EXTENSION = "apidevices_housekeeping"
_DAILY = limits.Limit("housekeeping-daily", 1, limits.DAY)
_PAUSE = limits.Limit("housekeeping-pause", 1, limits.DAY)


class Housekeeping:
    """A thread that runs upkeep tasks about once an hour, in one process at a time.

    Tasks that read a whole table run once a day.
    """

    def __init__(
        self, state: State, *, first_run: float = FIRST_RUN, interval: float = INTERVAL
    ) -> None:
        self._state = state
        self._first_run = first_run * random.SystemRandom().uniform(1, 2)  # spreads the workers
        self._interval = interval
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._clock = _SteadyClock()

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(
            target=self._run_periodically, name="apidevices-housekeeping", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its current transaction."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT)

    def run(self) -> None:
        """Run all tasks that are due, unless another process has done so within the hour.

        If the last run is more than a day ago, wait a day first. Either the server was off, or its
        clock is wrong since it started, and then everything would seem to be old.
        """
        db = self._state.db
        now = upkeep.database_time(db)
        if _is_paused(db, now) or not _claim(db, upkeep.HOURLY, now):
            return
        is_daily = _claim(db, _DAILY, now)
        tasks = [task for task in self._state.upkeep if task.is_ordered or is_daily]
        # Not essential: freed pages stay in the database file, so that would not end a full disk.
        results = upkeep.run(db, tasks, now=now, stop=self._stop, essential=False)
        if changed := [result for result in results if result.rows]:
            parts = [f"{result.task.description.lower()}: {result.rows:,}" for result in changed]
            logger.info("Housekeeping: %s", "; ".join(parts))

    def _run_periodically(self) -> None:
        delay = self._first_run
        while not self._stop.wait(delay):
            delay = self._interval
            if not self._clock.is_steady():
                logger.warning(
                    "The clock was set by more than a day. Housekeeping pauses for a day."
                )
                continue
            try:
                self.run()
            except (SQLAlchemyError, APIDevicesError) as error:
                logger.warning("Housekeeping failed; retrying in an hour: %s", error)
            except Exception:
                logger.exception("Housekeeping failed; retrying in an hour.")


class _SteadyClock:
    """Tells whether the clock has been set recently."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self._set_at: float | None = None

    def is_steady(self) -> bool:
        """Return whether the clock has not been set by more than a day within the last day."""
        now = time.monotonic()
        offset = time.time() - now
        if abs(offset - self._offset) > MAX_CLOCK_STEP:
            self._set_at = now
        self._offset = offset
        return self._set_at is None or now - self._set_at > MAX_CLOCK_STEP


def init_app(app: Flask, settings: ServerSettings) -> None:
    """Add what the standalone application does with its own tables, and prepare the thread."""
    with app.app_context():
        state = current_state()
    state.moves.append(uploads.move)
    state.upkeep.append(uploads.retention_task(settings.apidevices_keep_uploads_days))
    app.extensions[_EXTENSION] = Housekeeping(state)


def of(app: Flask) -> Housekeeping:
    """Return the thread of an application."""
    found: Housekeeping = app.extensions[_EXTENSION]
    return found


def _claim(db: Database, limit: limits.Limit, now: datetime) -> bool:
    """Return whether no process has claimed this run within the period of the limit."""
    try:
        with db.write(essential=False) as session:
            limits.take(db, session, limit, upkeep.SERVER, now)
    except LimitReached:
        return False
    return True


def _is_paused(db: Database, now: datetime) -> bool:
    with db.read() as session:
        last = limits.full_at(session, upkeep.HOURLY, upkeep.SERVER)
        pause = limits.full_at(session, _PAUSE, upkeep.SERVER)
    if last is None or now - last <= limits.DAY:
        return False
    if pause is not None and last < pause <= now:
        return False  # it is over
    if _claim(db, _PAUSE, now):
        logger.warning(
            "The last housekeeping was at %s, more than a day ago. If the clock is right, nothing"
            " has to be done: housekeeping continues in a day.",
            last - limits.HOUR,
        )
    return True
