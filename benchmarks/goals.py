"""What the measured numbers are held against; all of it is here."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Verdict:
    """A measured value beside its goal."""

    what: str
    value: float
    goal: str
    reached: bool

    def __str__(self) -> str:
        word = "reached" if self.reached else "NOT REACHED"
        return f"{self.what}: {self.value:,.4g}, goal {self.goal}: {word}"


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit that a value shall keep."""

    what: str
    sign: Literal["<=", ">="]
    limit: float
    unit: str = ""

    def judge(self, where: str, value: float) -> Verdict:
        """Hold a value against the goal; ``where`` says which one it is, if there are several."""
        reached = value <= self.limit if self.sign == "<=" else value >= self.limit
        goal = f"{self.sign} {self.limit:,g} {self.unit}".rstrip()
        return Verdict(f"{self.what}, {where}", value, goal, reached)


THROUGHPUT = {
    "SQLite": Goal("tracked over untracked throughput", ">=", 0.90),
    "PostgreSQL": Goal("tracked over untracked throughput", ">=", 0.65),
}
OVER_ORM = Goal("tracked over ORM hook throughput", ">=", 5)
HOOK_ON_SQLITE = Goal("hook in process, median", "<=", 35, "µs")
ROUND_TRIPS = Goal("round trips a request", "<=", 1)
TRANSACTIONS = Goal("transactions a request", "<=", 0)
PAGE = Goal("slowest page at 1M devices, p95", "<=", 50, "ms")
PAGE_GROWTH = Goal("largest growth of a page's p95 from 10k to 1M devices", "<=", 3, "times")
MEMORY = Goal("growth of a worker", "<=", 50, "MB")
ACCEPTED = Goal("requests accepted after the answer to a block", "<=", 0)
DENIED = Goal("requests denied after the answer to an unblock", "<=", 0)
