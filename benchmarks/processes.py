"""CPU time, memory and context switches of processes and of their descendants, from /proc."""

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Self

from harness.real_server import ROOT

NAMED_THREADS = {"PYTHONPATH": str(ROOT / "benchmarks" / "thread_names")}
"""Environment variables for a server that is measured. Without them, its flush threads have no
name before Python 3.14."""

_FLUSH_THREAD = "apidevices-activity"[:15]  # the kernel keeps 15 bytes of a name

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes have used so far, or between two moments.

    Args:
        cpu: CPU seconds, user and system, of all threads.
        flush: CPU seconds of the threads that write activity. They are also part of ``cpu``.
        switches: Context switches.
    """

    cpu: float = 0.0
    flush: float = 0.0
    switches: int = 0

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return what a process and all its descendants have used so far."""
        cpu, flush, switches = 0.0, 0.0, 0
        for member in family(pid):
            with suppress(OSError):  # it has exited
                # Waited-for children count too: autovacuum workers of PostgreSQL come and go.
                cpu += sum(_ticks(_PROC / str(member))) / _TICKS
                for thread in (_PROC / str(member) / "task").iterdir():
                    with suppress(OSError):
                        switches += _switches(thread)
                        if _name(thread) == _FLUSH_THREAD:
                            flush += sum(_ticks(thread)[:2]) / _TICKS
        return cls(cpu, flush, switches)

    def __sub__(self, earlier: "Usage") -> "Usage":
        return Usage(
            self.cpu - earlier.cpu, self.flush - earlier.flush, self.switches - earlier.switches
        )


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used so far, without its children."""
    return sum(_ticks(_PROC / str(pid))[:2]) / _TICKS


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of the largest process among a process and its descendants."""
    sizes = [0]
    for member in family(pid):
        with suppress(OSError):
            sizes.append(int((_PROC / str(member) / "statm").read_text().split()[1]))
    return max(sizes) * os.sysconf("SC_PAGE_SIZE") / 1024**2


def children(pid: int) -> list[int]:
    """Return the ids of the children of a process."""
    return _children()[pid]


def family(pid: int) -> Iterator[int]:
    """Return the ids of a process and of all its descendants."""
    children = _children()
    waiting = [pid]
    while waiting:
        member = waiting.pop()
        yield member
        waiting += children[member]


def named(pid: int, name: str) -> int:
    """Return the id of the child of a process that runs this program.

    Raises:
        LookupError: There is no such child.
    """
    for child in children(pid):
        with suppress(OSError):
            if _name(_PROC / str(child)) == name:
                return child
    raise LookupError(f"no child process runs {name}")


def _children() -> dict[int, list[int]]:
    """Return the ids of the children of every process."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                children[int(_stat(folder)[1])].append(int(folder.name))
    return children


def _ticks(folder: Path) -> tuple[int, int, int, int]:
    """Return the clock ticks of a process or thread: user, system, and both of its children."""
    user, system, children_user, children_system = map(int, _stat(folder)[11:15])
    return user, system, children_user, children_system


def _stat(folder: Path) -> list[str]:
    """Return the fields of a stat file from the third one, the state."""
    # The name in parentheses before them can contain spaces and parentheses.
    return (folder / "stat").read_text().rpartition(")")[2].split()


def _name(folder: Path) -> str:
    return (folder / "comm").read_text().strip()


def _switches(thread: Path) -> int:
    lines = (thread / "status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


@contextmanager
def memory_of(pid: int) -> Iterator[list[float]]:
    """Look up the memory of a server again and again. Yield the sizes in megabytes."""
    sizes = [resident_megabytes(pid)]
    done = Event()

    def look_up() -> None:
        while not done.wait(0.02):
            sizes.append(resident_megabytes(pid))

    thread = Thread(target=look_up)
    thread.start()
    try:
        yield sizes
    finally:
        done.set()
        thread.join()
