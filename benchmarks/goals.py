"""Performance goals, and the check of measured values against them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class GoalResult:
    """A measured value and its goal."""

    metric: str
    value: float
    goal: str
    met: bool

    def __str__(self) -> str:
        outcome = "met" if self.met else "NOT MET"
        return f"{self.metric}: {self.value:,.4g}, goal {self.goal}: {outcome}"


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit for a metric."""

    metric: str
    operator: Literal["<=", ">="]
    limit: float
    unit: str = ""

    def evaluate(self, subject: str, value: float) -> GoalResult:
        """Compare a value with the goal. ``subject`` is the database or case it belongs to."""
        met = value <= self.limit if self.operator == "<=" else value >= self.limit
        goal = f"{self.operator} {self.limit:,g} {self.unit}".rstrip()
        return GoalResult(f"{self.metric}, {subject}", value, goal, met)


BASELINE = "da8b813"
"""The revision that the goals of the gate compare with."""

GATE_SPEEDUP = {
    "SQLite": Goal(f"gate decisions per second, relative to {BASELINE}", ">=", 3),
    "PostgreSQL": Goal(f"gate decisions per second, relative to {BASELINE}", ">=", 2.5),
}
GATE_SPEEDUP_MOONSHOT = Goal(
    f"moonshot: gate decisions per second, relative to {BASELINE}", ">=", 6
)
GATE_P99_AT_HALF_LOAD = Goal("gate, p99 at half of the maximum load", "<=", 5, "ms")
PROXIED_GATE = Goal("throughput, nginx with the gate / nginx alone", ">=", 0.60)
SLOWEST_RUN = Goal("decisions per second, slowest run / median run", ">=", 0.8)
HOST_CPU = {
    "SQLite": Goal("CPU time that tracking adds to a request", "<=", 60, "µs"),
    "PostgreSQL": Goal("CPU time that tracking adds to a request", "<=", 110, "µs"),
}
THROUGHPUT = {
    "SQLite": Goal("throughput, tracked / untracked", ">=", 0.90),
    "PostgreSQL": Goal("throughput, tracked / untracked", ">=", 0.65),
}
SPEEDUP_OVER_ORM = Goal("throughput, tracked / ORM hook", ">=", 5)
HOOK_TIME_ON_SQLITE = Goal("request hook, median", "<=", 35, "µs")
ROUND_TRIPS = Goal("round trips per request", "<=", 1)
TRANSACTIONS = Goal("transactions per request", "<=", 0)
PAGE_TIME = Goal("slowest page with 1M devices, p95", "<=", 50, "ms")
FIND_TIME = Goal("slowest filter or pair of filters with 1M devices, p95", "<=", 100, "ms")
OVERVIEW_TIME = Goal("overview with 1M devices, p95", "<=", 100, "ms")
PAGE_GROWTH = Goal("largest ratio of a page's p95 with 1M devices to 10k devices", "<=", 3)
P99_WITH_GUESSERS = Goal("p99 of the API with guessers / without", "<=", 3)
P99_WITH_MANY = Goal("p99 of the API while many devices are changed or exported / alone", "<=", 2)
EXPORT_MEMORY = Goal("memory growth of a worker that exports all devices", "<=", 30, "MB")
MEMORY_GROWTH = Goal("memory growth of a worker", "<=", 50, "MB")
ACCEPTED_AFTER_BLOCK = Goal("requests accepted after a block was acknowledged", "<=", 0)
DENIED_AFTER_UNBLOCK = Goal("requests denied after an unblock was acknowledged", "<=", 0)
PRECISION = Goal("precision of marks", ">=", 0.95)
