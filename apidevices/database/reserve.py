"""Disk space that is set aside for blocks and other changes by administrators.

The reserve is a preallocated file next to the SQLite database, or a table on PostgreSQL. When the
disk is full, the reserve is emptied for the changes of administrators. Until it has its full size
again, devices can't store anything, so they can't use up the space. Lookups only read, so known
devices are still served.

The size is the only state, so all processes and restarts share it.
"""

import errno
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from apidevices.database.errors import DatabaseUnavailable, may_be_out_of_space

logger = logging.getLogger(__name__)

MIB = 1024 * 1024

MARGIN = 4 * MIB
"""Bytes of free space below which administrators' changes use the reserve. SQLite's write-ahead log
normally grows to this size before it is reused."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_MISSING = -1

NO_RESERVE = (
    "There is not enough disk space for the reserve (APIDEVICES_DISK_RESERVE). Free disk space."
    " When none at all is left, devices can no longer be blocked."
)
DISK_FULL = "The disk is full. New devices, changes and uploads are not stored."


P = ParamSpec("P")
R = TypeVar("R")


class Reserve(ABC):
    """Disk space that is released when the disk is full.

    Args:
        size: The size of the reserve in bytes; 0 for none.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._is_refusing = False

    @abstractmethod
    def require(self) -> None:
        """Check that devices may write. Rebuild the reserve if there is space for it.

        Raises:
            DatabaseUnavailable: The reserve is in use.
        """

    @abstractmethod
    def build(self) -> bool:
        """Allocate the reserve. Return False if there is not enough space for it."""

    @abstractmethod
    def release(self) -> None:
        """Release the space of the reserve."""

    def release_if_needed(self) -> None:
        """Release the space of the reserve if the disk is almost full, where that is known."""
        return

    def on_full_disk(self, *, essential: bool) -> None:
        """Release the space of the reserve after a write that failed, if it was essential."""
        if essential:
            self.release()

    def _accept(self) -> None:
        if self._is_refusing:
            self._is_refusing = False
            logger.warning("There is enough disk space again. Devices can write.")

    def _refuse(self) -> NoReturn:
        if not self._is_refusing:
            self._is_refusing = True
            logger.error("%s Blocks and sign-ins still work. Free disk space.", DISK_FULL)
        raise DatabaseUnavailable(DISK_FULL)


def retried_with_reserve(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function with an essential write: call it again if the disk was full.

    The failed write has released the reserve. This is for writes that must not fail: others fail
    once, and work when they are repeated.
    """

    @wraps(function)
    def call(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return function(*arguments, **options)
        except SQLAlchemyError as error:
            if not may_be_out_of_space(error):
                raise
        return function(*arguments, **options)

    return call


class FileReserve(Reserve):
    """The reserve of a SQLite database.

    Args:
        database: The SQLite file, or None if the database has none. There is no reserve then.
        size: The size of the reserve in bytes; 0 for none.
    """

    def __init__(self, database: Path | None, size: int) -> None:
        super().__init__(size if database is not None else 0)
        # Follow links as SQLite does, to get space on the disk with the database.
        self._database = os.path.realpath(database or "")
        self._path = f"{self._database}-reserve"

    def require(self) -> None:
        """Check that devices may write. Rebuild the reserve if there is space for it.

        A disk that has never had space for the reserve doesn't keep devices from writing.
        """
        size = self._current_size()
        if size < self._size and not self.build() and size != _MISSING:
            self._refuse()
        self._accept()

    def build(self) -> bool:
        """Allocate the reserve. Return False if there is not enough space for it.

        Does nothing if there is no database yet.
        """
        if not self._size or not os.path.exists(self._database):
            return True
        if not self._has_space():
            return False
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
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

    def _current_size(self) -> int:
        try:
            return os.stat(self._path).st_size if self._size else 0
        except OSError:
            return _MISSING

    def _has_space(self) -> bool:
        """Return whether the missing part of the reserve fits on the disk."""
        allocated = 0
        with suppress(OSError):
            status = os.stat(self._path)
            allocated = min(status.st_size, status.st_blocks * 512)
        free, missing = free_space(self._database), self._size - allocated
        return missing <= 0 or free is None or free >= missing + MARGIN

    def _allocate(self, descriptor: int) -> bool:
        if os.fstat(descriptor).st_size > self._size:
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
