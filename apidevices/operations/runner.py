"""Threads that run operations in the background, and resume those that were interrupted.

A lease with a time limit, in the database, makes sure that one thread of all processes runs an
operation. Each step renews it. If the process dies, another one takes over when it has expired.
"""

import logging
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Any

from flask import Flask
from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from apidevices.database import Database, is_unavailable
from apidevices.errors import APIDevicesError
from apidevices.models import Operation
from apidevices.operations import steps
from apidevices.processes import after_fork

logger = logging.getLogger(__name__)

STEP = 250
"""How many devices to change in one transaction."""

PAUSE = 0.02
"""Minimum seconds between two steps. The pause also lasts at least twice as long as the step, which
leaves most of the time to requests."""

LEASE = timedelta(seconds=6)
"""For how long a thread has an operation for itself after each step."""

RETRY = 1.0
"""Seconds to wait after a failed step."""

MAX_FAILURES = 10
"""After this many failed steps in a row, leave the operation to another process."""

WATCH = 3.0
"""Seconds between two searches for interrupted operations."""

JOIN_TIMEOUT = 5.0
"""Seconds to wait for the current steps when the process stops."""


class Runner:
    """Runs operations of one application in threads.

    Args:
        db: The database.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        after_fork(self._reset)

    def start(self, app: Flask, operation_id: int) -> bool:
        """Run an operation in the background, unless a thread of any process already does.

        If the database can't be written, the operation waits until it can.

        Returns:
            Whether this process runs the operation now.
        """
        lease = uuid.uuid4().hex
        if self._stop.is_set() or not self._claim(operation_id, lease):
            return False
        self._start_thread(
            f"apidevices-operation-{operation_id}", self._run, app, operation_id, lease
        )
        return True

    def resume(self, app: Flask) -> None:
        """Continue the operations that were interrupted."""
        with self._db.read() as session:
            interrupted = session.scalars(select(Operation.id).where(self._is_free)).all()
        for operation_id in interrupted:
            if self.start(app, operation_id):
                logger.warning("Operation %s was interrupted and continues.", operation_id)

    def watch(self, app: Flask) -> None:
        """Look for interrupted operations every ``WATCH`` seconds, until ``close``."""
        self._start_thread("apidevices-operations", self._watch, app)

    def close(self) -> None:
        """End all threads after their current steps. Another process continues the operations."""
        self._stop.set()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(JOIN_TIMEOUT)
        self._reset()

    def _start_thread(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
        with self._lock:
            self._threads = [other for other in self._threads if other.is_alive()]
            thread.start()
            self._threads.append(thread)

    def _reset(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = []

    @property
    def _is_free(self) -> ColumnElement[bool]:
        lapsed = Operation.leased_until < self._db.backend.now()
        return and_(Operation.finished_at.is_(None), or_(Operation.leased_until.is_(None), lapsed))

    def _claim(self, operation_id: int, lease: str) -> bool:
        claim = (
            update(Operation)
            .where(Operation.id == operation_id, self._is_free)
            .values(lease=lease, leased_until=self._db.backend.now(LEASE))
            .returning(Operation.id)
            .execution_options(synchronize_session=False)
        )
        try:
            with self._db.write(essential=steps.is_urgent(self._db, operation_id)) as session:
                return session.execute(claim).first() is not None
        except SQLAlchemyError as error:
            if not is_unavailable(error):
                raise
            return False

    def _watch(self, app: Flask) -> None:
        stop = self._stop
        while not stop.wait(WATCH):
            try:
                self.resume(app)
            except Exception as error:
                if not is_unavailable(error):
                    logger.exception("Can't look for interrupted operations.")

    def _run(self, app: Flask, operation_id: int, lease: str) -> None:
        with app.app_context():
            try:
                self._run_steps(operation_id, lease)
            except APIDevicesError as error:
                steps.fail(self._db, operation_id, lease, str(error))
            except Exception as error:
                if is_unavailable(error):
                    logger.warning("Operation %s waits for the database: %s", operation_id, error)
                    return
                logger.exception("Operation %s has failed.", operation_id)
                steps.fail(self._db, operation_id, lease, "An internal error has occurred.")

    def _run_steps(self, operation_id: int, lease: str) -> None:
        stop, failures = self._stop, 0
        while not stop.is_set():
            started = monotonic()
            try:
                step = steps.run(self._db, operation_id, STEP, lease, LEASE)
            except SQLAlchemyError as error:
                failures += 1
                if failures == MAX_FAILURES or not is_unavailable(error):
                    raise
                stop.wait(RETRY)
                continue
            if step is None:
                return
            failures = 0
            step.complete()
            if step.is_last:
                return
            stop.wait(max(PAUSE, 2 * (monotonic() - started)))
        steps.release(self._db, operation_id, lease)
