"""Apply rate limits to requests, and refuse repeated requests without the database.

Clients that ignore a refusal must not keep the database busy: on SQLite, every attempt to count
would take the write lock. So each process remembers which subjects have reached a limit, and until
when.
"""

import logging
from datetime import datetime, timedelta
from math import ceil
from threading import Lock
from typing import NamedTuple

from sqlalchemy.orm import Session

from apidevices import limits
from apidevices.database import Database
from apidevices.errors import LimitReached
from apidevices.limits import HOUR, Limit
from apidevices.metrics import RATE_LIMITED, Metrics

logger = logging.getLogger(__name__)

MAX_REFUSALS = 10_000
"""Maximum number of refusals that a process remembers. At the limit, it forgets the oldest."""


class Rule(NamedTuple):
    """A limit, and the message for clients that have reached it."""

    limit: Limit
    message: str


class _Refusal(NamedTuple):
    amount: int
    until: datetime
    logged_at: datetime


class Limiter:
    """Counts against limits in the database, and remembers refusals in this process.

    Args:
        db: The database that stores the counts.
        metrics: Counts refusals.
    """

    def __init__(self, db: Database, metrics: Metrics) -> None:
        self._db = db
        self._metrics = metrics
        self._refusals: dict[tuple[str, str], _Refusal] = {}
        self._lock = Lock()

    def check(self, rule: Rule, subject: str, now: datetime, amount: int = 1) -> None:
        """Refuse again what this process has refused, without asking the database.

        Raises:
            LimitReached: The subject has reached the limit, and has to wait longer.
        """
        refusal = self._refusals.get((rule.limit.name, subject))
        # If the clock has been set back, the time to wait may be longer than any limit's period.
        if (
            refusal is not None
            and amount >= refusal.amount
            and now < refusal.until <= now + rule.limit.period
        ):
            raise self._refused(rule, ceil((refusal.until - now).total_seconds()))

    def take(
        self, session: Session, rule: Rule, subject: str, now: datetime, amount: int = 1
    ) -> None:
        """Count against a limit, in the transaction of ``session``.

        Raises:
            LimitReached: The limit is reached. Nothing is counted.
        """
        try:
            limits.take(self._db, session, rule.limit, subject, now, amount)
        except LimitReached as error:
            self._remember(rule.limit, subject, now, amount, error.retry_after)
            raise self._refused(rule, error.retry_after) from None

    def _remember(
        self, limit: Limit, subject: str, now: datetime, amount: int, seconds: int
    ) -> None:
        key = (limit.name, subject)
        with self._lock:
            previous = self._refusals.pop(key, None)
            if previous is None and len(self._refusals) >= MAX_REFUSALS:
                del self._refusals[next(iter(self._refusals))]
            is_news = previous is None or now - previous.logged_at >= HOUR
            logged_at = now if previous is None or is_news else previous.logged_at
            until = now + timedelta(seconds=seconds)
            self._refusals[key] = _Refusal(amount, until, logged_at)
        if is_news:
            logger.warning(
                "Requests are refused: %s has reached the limit %s=%d.",
                subject,
                limit.name,
                limit.number,
            )

    def _refused(self, rule: Rule, seconds: int) -> LimitReached:
        self._metrics.count(RATE_LIMITED)
        return LimitReached(rule.limit.name, seconds, rule.message)
