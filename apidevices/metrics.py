"""Count requests, registrations and flushes of this process, for monitoring.

All numbers of a process are one list, whose layout is fixed: counters, then histograms. Adding the
lists of several processes gives the numbers of all of them.
"""

from bisect import bisect_left
from threading import get_ident
from time import perf_counter
from typing import NamedTuple

from apidevices.processes import after_fork

OUTCOMES = (
    "allowed",
    "preflight",
    "token_missing",
    "token_invalid",
    "device_id_required",
    "device_id_invalid",
    "device_blocked",
    "rate_limited",
    "unavailable",
    "internal_error",
)
"""The outcomes of a request: the code of the problem that denied it, or why it was allowed."""

REGISTRATIONS, CHANGES, DENIALS, RATE_LIMITED, DATABASE_ERRORS, FLUSH_ERRORS = range(
    len(OUTCOMES), len(OUTCOMES) + 6
)
"""The position of each counter in the list. The requests by outcome come first."""

_POSITIONS = {outcome: position for position, outcome in enumerate(OUTCOMES)}
_INTERNAL_ERROR = _POSITIONS["internal_error"]


class Histogram(NamedTuple):
    """A histogram in the list: a number for each bucket, one for values above, and the sum."""

    start: int
    bounds: tuple[float, ...]

    @property
    def end(self) -> int:
        """The position after the histogram. The sum is just before it."""
        return self.start + len(self.bounds) + 2


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

CHECK_SECONDS = Histogram(
    FLUSH_ERRORS + 1,
    (
        *(1e-05, 2.5e-05, 5e-05, 0.0001, 0.00025, 0.0005),
        *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    ),
)
"""The duration of checks that need the database, up to the decision and including registration."""

FLUSH_ROWS = Histogram(
    CHECK_SECONDS.end, (1.0, 10.0, 100.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 100_000.0)
)
"""The number of rows that a flush of activity times writes."""

FLUSH_SECONDS = Histogram(FLUSH_ROWS.end, _SECONDS)
"""The duration of a flush."""

FLUSH_DELAY = Histogram(FLUSH_SECONDS.end, _SECONDS)
"""The age of the oldest activity when a flush has written it, or slightly more."""

SIZE = FLUSH_DELAY.end
"""The length of the list."""


class Metrics:
    """The numbers of one application in this process. A forked child starts from zero.

    Each thread adds to a list of its own, so no lock is needed and no addition gets lost, although
    ``+=`` is not atomic. The lists are keyed by thread identifier, which the system reuses: there
    are never more of them than there were threads at the same time.
    """

    _by_thread: dict[int, list[float]]

    def __init__(self) -> None:
        self._reset()
        after_fork(self._reset)

    def count(self, counter: int) -> None:
        """Add 1 to a counter such as ``REGISTRATIONS``."""
        self._of_thread()[counter] += 1

    def observe(self, histogram: Histogram, value: float) -> None:
        """Add a value to a histogram."""
        values = self._of_thread()
        values[histogram.start + bisect_left(histogram.bounds, value)] += 1
        values[histogram.end - 1] += value

    def count_request(self, outcome: str) -> None:
        """Count a request that was decided without the database."""
        self._of_thread()[_POSITIONS.get(outcome, _INTERNAL_ERROR)] += 1

    def count_check(self, outcome: str, started: float) -> None:
        """Count a request that was decided just now.

        Args:
            outcome: One of ``OUTCOMES``. Any other text counts as an internal error.
            started: When the check started, by ``time.perf_counter``.
        """
        seconds = perf_counter() - started
        values = self._by_thread.get(get_ident()) or self._of_thread()
        values[_POSITIONS.get(outcome, _INTERNAL_ERROR)] += 1
        values[_CHECK_START + bisect_left(_CHECK_BOUNDS, seconds)] += 1
        values[_CHECK_SUM] += seconds

    def values(self) -> list[float]:
        """Return the sums over all threads."""
        lists = [[0.0] * SIZE, *self._by_thread.copy().values()]
        return [sum(values) for values in zip(*lists, strict=True)]

    def _of_thread(self) -> list[float]:
        return self._by_thread.setdefault(get_ident(), [0.0] * SIZE)

    def _reset(self) -> None:
        self._by_thread = {}


# Attributes of a tuple take as long as the rest of count_check().
_CHECK_START, _CHECK_BOUNDS = CHECK_SECONDS
_CHECK_SUM = CHECK_SECONDS.end - 1


def outcome_of(error: Exception) -> str:
    """Return the outcome of a request that raised an error."""
    return getattr(error, "problem_code", "internal_error")
