"""Counts what the server answered to one part of the attack."""

import json
import threading
from collections import Counter
from collections.abc import Sequence

from tabulate import tabulate

from tests.hostile.wire import Answer

HEADINGS = (
    "part",
    "requests",
    "2xx",
    "3xx",
    "4xx",
    "429",
    "meant 503",
    "other 5xx",
    "closed",
    "injected",
    "accepted",
    "seconds",
    "verdict",
)

MAX_FAILURES = 50
"""Failures to keep per part. The verdict counts all of them."""


class Tally:
    """The responses to one part, and what got through. Threads may share it."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.counts: Counter[str] = Counter()
        self.injected = 0
        self.accepted = 0
        self.seconds = 0.0
        self.skipped = ""
        self.notes: list[str] = []
        self.failures: list[str] = []
        self.failure_count = 0
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        """The number of requests."""
        return self.counts.total()

    @property
    def verdict(self) -> str:
        """``passed``, ``failed``, or why the part did not run."""
        if self.failure_count:
            return f"failed: {self.failure_count}"
        return f"skipped: {self.skipped}" if self.skipped else "passed"

    @property
    def row(self) -> tuple[object, ...]:
        """The part's row of the table."""
        counted = (self.counts[name] for name in HEADINGS[2:9])
        return (
            self.part,
            self.requests,
            *counted,
            self.injected,
            self.accepted,
            round(self.seconds),
            self.verdict,
        )

    def record(self, answer: Answer | None, request: object = "") -> None:
        """Count a response, or a connection that was closed without one."""
        kind = _kind(answer)
        with self._lock:
            self.counts[kind] += 1
        if kind == "other 5xx":
            assert answer is not None
            self.fail(f"{answer.status} {answer.body[:200]!r} to {request!r}")

    def inject(self, what: object) -> None:
        """Record something on a page that the templates did not write."""
        with self._lock:
            self.injected += 1
        self.fail(f"injected: {what}")

    def accept(self, what: object) -> None:
        """Record a request of a blocked device that was accepted."""
        with self._lock:
            self.accepted += 1
        self.fail(f"accepted: {what}")

    def fail(self, what: str) -> None:
        """Record that something got through."""
        with self._lock:
            self.failure_count += 1
            if len(self.failures) < MAX_FAILURES:
                self.failures.append(what[:1_000])

    def require(self, condition: object, what: str) -> None:
        """Record a failure unless a condition is true."""
        if not condition:
            self.fail(what)


def table(tallies: Sequence[Tally]) -> str:
    """Return the table of all parts, with their totals."""
    rows = [tally.row for tally in tallies]
    totals = [sum(column) for column in list(zip(*rows, strict=True))[1:-1]]
    passed = not any(tally.failure_count for tally in tallies)
    total = ("total", *totals, "passed" if passed else "failed")
    return tabulate([*rows, total], headers=HEADINGS, tablefmt="github")


def _kind(answer: Answer | None) -> str:
    if answer is None:
        return "closed"
    if answer.status == 429:
        return "429"
    if answer.status == 503 and _is_meant(answer):
        return "meant 503"
    return "other 5xx" if answer.status >= 500 else f"{answer.status // 100}xx"


def _is_meant(answer: Answer) -> bool:
    """Return whether a 503 says that the service is temporarily unavailable."""
    if "retry-after" not in answer.headers:
        return False
    try:
        return bool(json.loads(answer.body)["code"] == "unavailable")
    except (ValueError, TypeError, KeyError):
        return b"<html" in answer.body or not answer.body  # a page, or a response to HEAD
