"""What every part is given: the databases, and how much it shall do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from benchmarks.databases import Backend

T = TypeVar("T")


class BenchmarkFailed(Exception):
    """What was to be measured did not work, so there is no number."""


@dataclass(frozen=True)
class Run:
    """One run of the benchmarks.

    Args:
        folder: where files may lie; it is removed in the end.
        backends: the databases to measure with.
        token: the API token of all devices, with the scope to block them.
        quick: do little, to see it working.
        wanted_rounds: how many interleaved rounds, where that was said.
    """

    folder: Path
    backends: Sequence[Backend]
    token: str
    quick: bool
    wanted_rounds: int | None

    def pick(self, full: T, quick: T) -> T:
        """Return one of two sizes."""
        return quick if self.quick else full

    def rounds(self, full: int, quick: int = 2) -> range:
        """Return the interleaved rounds to make."""
        return range(self.wanted_rounds or self.pick(full, quick))


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    click.echo(f"  {text}", err=True)


def check(holds: object, message: str) -> None:
    """Fail unless something holds.

    Raises:
        BenchmarkFailed: it does not.
    """
    if not holds:
        raise BenchmarkFailed(message)
