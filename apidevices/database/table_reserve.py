"""The disk reserve on PostgreSQL: a table whose only purpose is to take up space.

When the disk is full, it is truncated, which needs no space for data. It also leaves space for the
next file of the write-ahead log: without that, PostgreSQL stops and can't start again.

The table is unlogged: filling it writes no log, and a server that restarts after a crash empties it
first.
"""

import logging
import threading
from time import monotonic

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from apidevices.database.backend import LOCK_TIMEOUT
from apidevices.database.errors import DatabaseUnavailable, may_be_out_of_space
from apidevices.database.reserve import Reserve
from apidevices.processes import after_fork

logger = logging.getLogger(__name__)

_PAGE = 8192
_ROWS_PER_PAGE = 22  # with the fill factor below, which saves time

_CREATE = """
    CREATE UNLOGGED TABLE IF NOT EXISTS apidevices_disk_reserve (number integer)
    WITH (fillfactor = 10, autovacuum_enabled = off)
"""
_LOCK = "LOCK TABLE apidevices_disk_reserve IN ACCESS EXCLUSIVE MODE"
_SIZE = "SELECT pg_relation_size(to_regclass('apidevices_disk_reserve'))"
_TRUNCATE = "TRUNCATE apidevices_disk_reserve"
_FILL = "INSERT INTO apidevices_disk_reserve SELECT generate_series(1, %(rows)s)"

_CHECK_INTERVAL = 0.25
"""Seconds between two checks of the size. Devices can't use up the reserve in this time."""

_BUILD_INTERVAL = 15.0
"""Seconds until another attempt to build the reserve on a full disk. An attempt fills the disk for
a moment."""


class TableReserve(Reserve):
    """The reserve of a PostgreSQL database.

    Args:
        engine: The engine.
        size: The size of the reserve in bytes; 0 for none.
    """

    def __init__(self, engine: Engine, size: int) -> None:
        super().__init__(size)
        self._engine = engine
        self._intact_until = 0.0
        self._next_attempt = 0.0
        self._checking = threading.Lock()
        after_fork(self._reset_after_fork)

    def require(self) -> None:
        """Check that devices may write. Rebuild the reserve if there may be space for it.

        After a crash, PostgreSQL has emptied the table although the disk is not full. One thread
        then builds the reserve, and the others wait for it.
        """
        if not self._size or monotonic() < self._intact_until:
            return
        if not self._checking.acquire(timeout=LOCK_TIMEOUT):
            raise DatabaseUnavailable("timed out waiting for the check of the disk reserve")
        try:
            if monotonic() >= self._intact_until:
                self._check()
        finally:
            self._checking.release()

    def on_full_disk(self, *, essential: bool) -> None:
        """Release the space after any failed write, because the log needs some in any case."""
        self.release()

    def build(self) -> bool:
        """Fill the table. Return False if that is not possible at the moment."""
        if not self._size:
            return True
        rows = (self._size // _PAGE + 1) * _ROWS_PER_PAGE
        try:
            with self._engine.begin() as connection:
                if (_size(connection) or 0) >= self._size:
                    return True
                connection.exec_driver_sql(_CREATE)
                connection.exec_driver_sql(_LOCK)
                if (_size(connection) or 0) < self._size:  # no other process has filled it
                    # If this fails, PostgreSQL frees the new file.
                    connection.exec_driver_sql(_TRUNCATE)
                    connection.exec_driver_sql(_FILL, {"rows": rows})
        except ProgrammingError as error:
            logger.warning("Can't create the disk reserve, so there is none: %s", error.orig)
            self._size = 0
        except SQLAlchemyError as error:
            if not getattr(error, "connection_invalidated", False):  # else PostgreSQL restarts
                self._next_attempt = monotonic() + _BUILD_INTERVAL
            if not may_be_out_of_space(error):  # such as a lock, held by a dump
                logger.warning("Can't build the disk reserve yet: %s", error)
            return False
        return True

    def release(self) -> None:
        """Release the space of the reserve."""
        if not self._size:
            return
        self._intact_until = 0.0
        self._next_attempt = monotonic() + _BUILD_INTERVAL
        try:
            with self._engine.begin() as connection:
                if _size(connection):
                    connection.exec_driver_sql(_TRUNCATE)
                    logger.error("The disk is full. Using the reserve.")
        except SQLAlchemyError as error:
            logger.error("Can't use the disk reserve: %s", error)

    def _check(self) -> None:
        now = monotonic()
        with self._engine.connect() as connection:
            size = _size(connection)
        is_missing = size is None or size < self._size
        if is_missing and not (now >= self._next_attempt and self.build()) and size is not None:
            self._refuse()
        self._intact_until = monotonic() + _CHECK_INTERVAL
        self._accept()

    def _reset_after_fork(self) -> None:
        self._checking = threading.Lock()  # another thread may have held it


def _size(connection: Connection) -> int | None:
    """Return the size of the table, or None if it doesn't exist."""
    found: int | None = connection.exec_driver_sql(_SIZE).scalar()
    return found
