"""The file of a SQLite database: where it is, and whether it is still the one that was opened."""

import logging
import os
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL

from apidevices.database.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

Identity = tuple[int, int]
"""The device and inode of a file."""

CHECK_INTERVAL = 0.1
"""Seconds between checks by lookups, because a check takes a quarter of the time of a lookup. No
process that uses another file can start and block a device in this time."""

_LOG_FILES = "apidevices.log_files"


def sqlite_file(url: URL) -> Path | None:
    """Return the file of a SQLite database; None for an in-memory database or a database server."""
    path = url.database
    if url.get_backend_name() != "sqlite" or not path or url.query.get("mode") == "memory":
        return None
    if url.query.get("uri") and path.startswith("file:"):
        path = unquote(urlsplit(path).path)
    return None if path in ("", ":memory:") else Path(path)


class DatabaseFile:
    """Notices when a database file is moved, replaced or deleted while the process uses it.

    SQLite itself does not notice this in WAL mode: open connections go on writing to a file that
    no other process can find.

    The file is only compared with the one that was there at the first check. It is never opened,
    because closing it would release the locks of SQLite's own connections (POSIX advisory locks).

    Args:
        path: The file, or None if the database has none. Checks then do nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = "" if path is None else os.path.abspath(path)
        self.identity: Identity | None = None
        """The file that this process uses, once it has content. A process that forks others passes
        it on to them, so that all use the same file."""
        self._is_missing = False
        self._has_lost_log = False
        self._next_check = 0.0

    def check_regularly(self) -> None:
        """Like ``check``, but at most once per interval, unless the last check failed."""
        now = monotonic()
        if now >= self._next_check:
            self.check()
            self._next_check = now + CHECK_INTERVAL

    def check(self) -> None:
        """Check that the path still leads to the file that this process uses.

        Raises:
            DatabaseUnavailable: It does not.
        """
        if not self._path:
            return
        found: Identity | None
        try:
            status = os.stat(self._path)
            found, size = (status.st_dev, status.st_ino), status.st_size
        except OSError:
            found, size = None, 0
        if found == self.identity and not self._is_missing and not self._has_lost_log:
            return
        if self.identity is None:
            self._check_marker(found)
            if size:  # an empty file has nothing to lose
                self.identity = found
            return
        self._report(found == self.identity)

    def check_log(self, info: MutableMapping[Any, Any]) -> None:
        """Check that the write-ahead log of a connection has not been deleted.

        SQLite deletes the log only with the last connection, so it stays the same file while a
        connection is open.

        Args:
            info: A dictionary that is kept with the connection, which is using the log.

        Raises:
            DatabaseUnavailable: The log has been deleted. Only a restart helps.
        """
        if not self._path:
            return
        found = [_identity(f"{self._path}{suffix}") for suffix in ("-wal", "-shm")]
        if found == info.setdefault(_LOG_FILES, found):
            return
        self._has_lost_log = True
        self.check()

    def _report(self, is_same: bool) -> None:
        if self._has_lost_log:
            problem = "The write-ahead log of the database has been deleted or replaced"
            advice = "Restart the server."
        elif not is_same:
            problem = "The database file has been moved, replaced or deleted"
            advice = (
                "Move it back. Or, to use the file that is there now, stop the server, delete the"
                " files next to it that end in -wal, -shm and -moved, and start the server."
            )
            if not self._is_missing:
                self._leave_marker()
        else:
            self._is_missing = False
            self._remove_marker()
            logger.warning("The database file %s is back.", self._path)
            return
        if not self._is_missing:
            self._is_missing = True
            logger.critical("%s: %s. All requests are denied. %s", problem, self._path, advice)
        raise DatabaseUnavailable(f"{problem}. {advice}")

    def _leave_marker(self) -> None:
        """Note that the log belongs to a file that has been moved, for the processes to come.

        SQLite keeps this log when the server stops. It would write it into whatever file is there
        at the next start, which destroys that file.
        """
        with suppress(OSError):
            if self.identity is not None and os.path.getsize(f"{self._path}-wal"):
                self._marker.touch(mode=0o600)
                self._marker.write_text(f"{self.identity[1]}\n")

    def _check_marker(self, found: Identity | None) -> None:
        """Check that the log belongs to the file, or to none if there is no marker."""
        try:
            inode = int(self._marker.read_text())
        except (OSError, ValueError):
            return
        log = f"{self._path}-wal"
        if (found is not None and found[1] == inode) or not os.path.exists(log):
            self._remove_marker()
            return
        raise DatabaseUnavailable(
            f"{log} belongs to a database file that was moved, replaced or deleted while a server"
            " used it. Move that file back. Or, if you don't need it, stop the server, and delete"
            f" {log}, {self._path}-shm and {self._marker}."
        )

    @property
    def _marker(self) -> Path:
        return Path(f"{self._path}-moved")

    def _remove_marker(self) -> None:
        with suppress(OSError):
            self._marker.unlink()


def _identity(path: str) -> Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
