"""The context of a benchmark run: its databases and its size."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from benchmarks.checkouts import PRESENT, Checkout
from benchmarks.databases import Backend

T = TypeVar("T")


class BenchmarkFailed(Exception):
    """A benchmark could not be completed, so it has no result."""


@dataclass(frozen=True)
class Run:
    """One run of the benchmarks.

    Args:
        folder: Temporary folder, removed after the run.
        backends: The databases to measure.
        token: API token that all devices use. It has every scope.
        quick: Run a small smoke test.
        requested_rounds: Number of interleaved rounds from the command line, if given.
        against: The older revision to compare with, if given.
    """

    folder: Path
    backends: Sequence[Backend]
    token: str
    quick: bool
    requested_rounds: int | None
    against: Checkout | None = None

    @property
    def checkouts(self) -> Sequence[Checkout]:
        """The checkouts to measure: the older revision, if given, then the present one."""
        return [self.against, PRESENT] if self.against else [PRESENT]

    @contextmanager
    def databases(self, backend: Backend, name: str) -> Iterator[dict[Checkout, str]]:
        """Create a database with all callers for each checkout. Yield their URLs."""
        with ExitStack() as stack:
            yield {
                checkout: stack.enter_context(
                    checkout.database(backend, name, self.folder, self.token)
                )
                for checkout in self.checkouts
            }

    def pick(self, full: T, quick: T) -> T:
        """Return the size to use: ``quick`` in a quick run, else ``full``."""
        return quick if self.quick else full

    def rounds(self, full: int, quick: int = 2) -> range:
        """Return the numbers of the interleaved rounds to run."""
        return range(self.requested_rounds or self.pick(full, quick))


def show_progress(text: str) -> None:
    """Print a progress message to stderr."""
    click.echo(f"  {text}", err=True)


def check(condition: object, message: str) -> None:
    """Abort the benchmark unless a condition is true.

    Raises:
        BenchmarkFailed: The condition is false.
    """
    if not condition:
        raise BenchmarkFailed(message)
