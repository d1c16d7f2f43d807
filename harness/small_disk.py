"""A small disk in memory, to fill it up."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class SmallDisk:
    """A mounted disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @property
    def free(self) -> int:
        """Free space in bytes."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self) -> None:
        """Write a file that leaves no free space."""
        for block in (1024 * 1024, 512):
            with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
                while file.write(bytes(block)):
                    pass

    def clear(self) -> None:
        """Delete the file again."""
        self._ballast.unlink()


@contextmanager
def mounted(folder: Path, mib: int) -> Iterator[SmallDisk]:
    """Mount a disk of this size. Needs the privileges of root.

    Raises:
        OSError: This process may not mount a disk.
    """
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise OSError(done.stderr.strip())
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, timeout=30)
