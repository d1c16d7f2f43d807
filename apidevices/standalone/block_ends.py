"""The thread that records blocks that have ended.

Devices are served again without it. It keeps the list and the metrics right to the second, and
writes the history.
"""

import logging
import threading

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from apidevices.toolkit import DatabaseUnavailable, clock, current_state, devices

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two looks at an index that contains only the blocks with an end."""

RETRY_INTERVAL = 10.0
"""Seconds until the next attempt after an error."""

JOIN_TIMEOUT = 5.0
"""Seconds to wait for the current transaction when the server stops."""

_EXTENSION = "apidevices_block_ends"


class BlockEnds:
    """A thread that records ended blocks about once a second. Each process may have one."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(
            target=self._run_periodically, name="apidevices-block-ends", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its current run."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT)

    def _run_periodically(self) -> None:
        delay, has_failed = INTERVAL, False
        while not self._stop.wait(delay):
            delay = INTERVAL
            try:
                with self._app.app_context():  # for receivers of signals
                    devices.end_blocks(current_state().db, clock.now())
                has_failed = False
            except (SQLAlchemyError, DatabaseUnavailable) as error:
                if not has_failed:
                    logger.warning("Could not record blocks that have ended; retrying: %s", error)
                delay, has_failed = RETRY_INTERVAL, True
            except Exception:
                logger.exception("Could not record blocks that have ended; retrying.")
                delay = RETRY_INTERVAL


def init_app(app: Flask) -> None:
    """Prepare the thread."""
    app.extensions[_EXTENSION] = BlockEnds(app)


def of(app: Flask) -> BlockEnds:
    """Return the thread of an application."""
    found: BlockEnds = app.extensions[_EXTENSION]
    return found
