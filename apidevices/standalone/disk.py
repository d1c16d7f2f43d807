"""Free disk space, and the warning before it runs out."""

import logging
import shutil
from pathlib import Path
from typing import NamedTuple

from flask import Flask

from apidevices.toolkit import Database, sqlite_file

logger = logging.getLogger(__name__)

LOW_FRACTION = 0.1
LOW_BYTES = 1024**3
"""Space is low below a tenth of the disk, or below 1 GiB on larger disks."""

_RECOVERED = 1.1
"""Space must exceed the limit by a tenth before another warning, so that no limit is crossed twice
in a row."""


class Disk(NamedTuple):
    """The size and the free space of a disk in bytes."""

    size: int
    free: int

    @property
    def limit(self) -> float:
        """The free space below which space is low."""
        return min(self.size * LOW_FRACTION, LOW_BYTES)

    @property
    def shortage(self) -> str | None:
        """What to tell people while space is low, else None."""
        if self.free >= self.limit:
            return None
        return f"only {self.free // 10**6:,} MB of disk space are left"


def disk_of(folder: Path) -> Disk | None:
    """Return the disk with a folder, or None if it is unknown."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(usage.total, usage.free)


def database_disk(db: Database) -> Disk | None:
    """Return the disk with the SQLite database. A PostgreSQL server doesn't tell."""
    file = sqlite_file(db.engine.url)
    return None if file is None else disk_of(file.parent)


class DiskWatch:
    """Logs a warning when disk space becomes low, and when it is no longer low."""

    def __init__(self, app: Flask) -> None:
        self._db: Database = app.extensions["apidevices"].db
        self._is_low = False

    def check(self) -> None:
        """Compare the free space with the limit. Call this regularly, in one process."""
        disk = database_disk(self._db)
        if disk is None:
            return
        if disk.shortage and not self._is_low:
            self._is_low = True
            logger.warning("Disk space is low: %s.", disk.shortage)
        elif self._is_low and disk.free > disk.limit * _RECOVERED:
            self._is_low = False
            logger.warning("Disk space is no longer low.")
