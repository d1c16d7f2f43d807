"""Disk space that is set aside for blocks and other changes by administrators.

The reserve is a preallocated file next to the SQLite database. When the disk is full, the first
change by an administrator empties it, and SQLite uses the space. Until the file has its full size
again, devices can't store anything, so they can't use up the space. Lookups only read, so known
devices are still served.

The size of the file is the only state, so all processes and restarts share it.
"""

import errno
import logging
import os
from contextlib import suppress
from pathlib import Path

from apidevices.database.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

MIB = 1024 * 1024

MARGIN = 4 * MIB
"""Bytes of free space below which administrators' changes use the reserve. SQLite's write-ahead log
normally grows to this size before it is reused."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
DISK_FULL = "The disk is full. New devices, changes and uploads are not stored."


class DiskReserve:
    """The reserve of one database.

    Args:
        database: The SQLite file, or None if the database has none. There is no reserve then.
        size: The size of the reserve in bytes; 0 for none.
    """

    def __init__(self, database: Path | None, size: int) -> None:
        self._size = size if database is not None else 0
        # Follow links as SQLite does, to get space on the disk with the database.
        self._database = os.path.realpath(database or "")
        self._path = f"{self._database}-reserve"
        self._is_refusing = False

    @property
    def is_intact(self) -> bool:
        """Whether the reserve has its full size, or none is configured."""
        if not self._size:
            return True
        try:
            return os.stat(self._path).st_size >= self._size
        except OSError:
            return False

    def require(self) -> None:
        """Check that devices may write. Rebuild the reserve if there is space for it.

        Raises:
            DatabaseUnavailable: The reserve is in use.
        """
        if self.is_intact or self.build():
            if self._is_refusing:
                self._is_refusing = False
                logger.warning("There is enough disk space again. Devices can write.")
            return
        if not self._is_refusing:
            self._is_refusing = True
            logger.error("%s Blocks and sign-ins still work. Free disk space.", DISK_FULL)
        raise DatabaseUnavailable(DISK_FULL)

    def build(self) -> bool:
        """Allocate the reserve. Return False if there is not enough space for it.

        Does nothing if there is no database yet.
        """
        if not self._size or not os.path.exists(self._database):
            return True
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno in _FULL:
                return False
            logger.warning("Can't create the disk reserve %s: %s", self._path, error.strerror)
            self._size = 0
            return True
        try:
            return self._allocate(descriptor)
        finally:
            os.close(descriptor)

    def release_if_needed(self) -> None:
        """Release the space of the reserve if the disk is almost full."""
        if self._size:
            free = free_space(self._database)
            if free is not None and free < MARGIN:
                self.release()

    def release(self) -> None:
        """Release the space of the reserve."""
        # Not unlink(): another process, such as a backup, may have the file open.
        with suppress(OSError):
            if self._size and os.stat(self._path).st_size:
                os.truncate(self._path, 0)
                logger.error("The disk is full. Using the reserve %s.", self._path)

    def _allocate(self, descriptor: int) -> bool:
        status = os.fstat(descriptor)
        allocated = min(status.st_size, status.st_blocks * 512)
        free = free_space(self._database)
        missing = self._size - allocated
        if missing > 0 and free is not None and free < missing + MARGIN:
            return False
        if status.st_size > self._size:
            os.truncate(descriptor, self._size)
        try:
            _fill(descriptor, self._size)
        except OSError:
            os.truncate(descriptor, 0)
            return False
        return True


def free_space(path: str | Path) -> int | None:
    """Return the free space on the disk with a file or its folder in bytes; None if unknown."""
    for place in (path, os.path.dirname(path)):
        with suppress(OSError):
            found = os.statvfs(place)
            return found.f_bavail * found.f_frsize
    return None


def _fill(descriptor: int, size: int) -> None:
    """Allocate the space of a file."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except (AttributeError, OSError) as error:
        if getattr(error, "errno", None) in _FULL:
            raise
        # macOS and some file systems can't preallocate.
        with open(descriptor, "wb", closefd=False) as file:
            for position in range(0, size, MIB):
                file.write(bytes(min(MIB, size - position)))
