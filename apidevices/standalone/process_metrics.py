"""The numbers of all worker processes, in memory that they share.

Prometheus scrapes one worker and must get the sums over all of them. Each worker has a row in a
table that the master process created before the fork. When a worker has died, the next one starts
with the numbers in its row, so that counters never go back.
"""

import mmap
import threading
from array import array
from time import monotonic
from typing import NamedTuple

from apidevices.toolkit import BufferLoad, State, metrics

ROWS = 1_024
"""Maximum number of worker processes. Rows that are not used take no memory."""

MAX_AGE = 5.0
"""Seconds after which a worker that has published nothing counts as dead. A worker publishes its
numbers twice a second."""

_COLUMNS = metrics.SIZE + 4  # the counters, the time of the update, and the buffer's load
_UPDATED_AT = metrics.SIZE


class SharedTable:
    """A table of numbers, shared by the process that creates it and its children."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, ROWS * _COLUMNS * 8)
        self._numbers = memoryview(self._memory).cast("d")

    def row(self, index: int) -> "memoryview[float]":
        """Return a row. Changes to it are visible to all processes."""
        return self._numbers[index * _COLUMNS : (index + 1) * _COLUMNS]

    def used_rows(self) -> list[list[float]]:
        """Return copies of all rows that a process has written to."""
        used = [index for index in range(ROWS) if self.row(index)[_UPDATED_AT]]
        return [list(self.row(index)) for index in used]


class Totals(NamedTuple):
    """The numbers of all processes.

    ``values`` are those of ``Metrics.values``. ``load`` has the entries of all buffers, and the
    highest fill and age.
    """

    values: list[float]
    load: BufferLoad
    workers: int


class ProcessMetrics:
    """Publishes the numbers of this process, and adds up those of all processes.

    Until ``share`` is called, there is only this process.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self.share(SharedTable(), 0)

    def share(self, table: SharedTable, index: int) -> None:
        """Publish to a row of a table. If the row has numbers, start with them."""
        self._table = table
        self._row = table.row(index)
        self._before = list(self._row[: metrics.SIZE])

    def publish(self) -> None:
        """Copy the current numbers of this process to its row."""
        with self._lock:
            values = self._state.metrics.values()
            sums = [before + value for before, value in zip(self._before, values, strict=True)]
            self._row[:] = array("d", [*sums, monotonic(), *self._state.activity.load])

    def totals(self) -> Totals:
        """Return the numbers of all processes: this one's are current, others half a second old."""
        self.publish()
        rows = self._table.used_rows()
        values = [sum(column) for column in zip(*rows, strict=True)][: metrics.SIZE]
        alive = [row for row in rows if row[_UPDATED_AT] > monotonic() - MAX_AGE]
        entries, fill, age = zip(*(row[_UPDATED_AT + 1 :] for row in alive), strict=True)
        load = BufferLoad(int(sum(entries)), max(fill), max(age))
        return Totals(values, load, len(alive))
