"""Rate limits that all processes share: one row per limited subject, such as a token.

Each limit is a token bucket: it holds ``Limit.number`` and refills evenly within ``Limit.period``.
A row stores only the time at which the bucket is full again (the generic cell rate algorithm, ITU-T
I.371), so taking from it is one statement, and rows whose time has passed can be deleted.

A time that no clock near the current one can have stored comes from a wrong clock. It counts
as passed: otherwise it would deny requests and sign-ins for years.
"""

from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, and_, bindparam, case, select, update
from sqlalchemy.orm import Session

from apidevices import clock
from apidevices.database import Database
from apidevices.errors import LimitReached
from apidevices.models import RateLimit

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

MAX_NUMBER = 1_000_000_000
"""The largest number of a limit within an hour or a day."""

_upserts: dict[str, Any] = {}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Limit(NamedTuple):
    """At most ``number`` within ``period``; 0 for no limit. ``name`` is what it limits."""

    name: str
    number: int
    period: timedelta


def take(
    db: Database, session: Session, limit: Limit, subject: str, now: datetime, amount: int = 1
) -> None:
    """Count against a limit, in the transaction of ``session``.

    Args:
        db: The database of the session.
        session: A session in a transaction. If it is rolled back, nothing is counted.
        limit: The limit.
        subject: What the limit applies to, such as ``"token:12"``.
        now: The time of the request.
        amount: How much to count.

    Raises:
        LimitReached: The limit is reached. Nothing is counted.
    """
    if not limit.number:
        return
    moment, period = microseconds(now), limit.period // _MICROSECOND
    cost = amount * period // limit.number
    if cost <= period:
        values = {
            "subject": _key(limit, subject),
            "moment": moment,
            "cost": cost,
            "first": moment + cost,
            "latest": moment + period,
            "wrong": _wrong_after(moment, period),
        }
        # Not through the ORM, which would take several times as long.
        if session.connection().execute(_upsert(db), values).first() is not None:
            return
    raise LimitReached(limit.name, _wait(session, limit, subject, moment, cost))


def give_back(session: Session, limit: Limit, subject: str, amount: int = 1) -> None:
    """Undo ``take``, in the transaction of ``session``."""
    if not limit.number:
        return
    cost = amount * (limit.period // _MICROSECOND) // limit.number
    row = RateLimit
    session.execute(
        update(row).where(row.key == _key(limit, subject)).values(full_at=row.full_at - cost)
    )


def check(session: Session, limit: Limit, subject: str, now: datetime, amount: int = 1) -> None:
    """Raise like ``take`` if the limit is reached, but count nothing."""
    if not limit.number:
        return
    cost = amount * (limit.period // _MICROSECOND) // limit.number
    wait = _wait(session, limit, subject, microseconds(now), cost)
    if wait > 0:
        raise LimitReached(limit.name, wait)


def full_at(session: Session, limit: Limit, subject: str) -> datetime | None:
    """Return when a limit has fully recovered; None if nothing has been counted."""
    found = session.scalar(select(RateLimit.full_at).where(RateLimit.key == _key(limit, subject)))
    return None if found is None else _EPOCH + found * _MICROSECOND


def _upsert(db: Database) -> Any:
    """Return the statement that counts, or returns no row if the limit is reached."""
    dialect = db.engine.dialect.name
    if dialect not in _upserts:  # built once: that takes longer than running it
        row = RateLimit
        moment, cost, first, latest, wrong = (
            bindparam(name, type_=BigInteger)
            for name in ("moment", "cost", "first", "latest", "wrong")
        )
        is_ahead = and_(row.full_at > moment, row.full_at <= wrong)
        later = case((is_ahead, row.full_at), else_=moment) + cost
        insert = db.insert(row).values(key=bindparam("subject"), full_at=first)
        upsert = insert.on_conflict_do_update(
            index_elements=[row.key], set_={"full_at": later}, where=later <= latest
        )
        _upserts[dialect] = upsert.returning(RateLimit.__table__.c.full_at)
    return _upserts[dialect]


def _wait(session: Session, limit: Limit, subject: str, moment: int, cost: int) -> int:
    """Return the seconds to wait before the cost can be taken; 0 if it can be taken now."""
    period = limit.period // _MICROSECOND
    full_at = session.scalar(select(RateLimit.full_at).where(RateLimit.key == _key(limit, subject)))
    if full_at is None or full_at > _wrong_after(moment, period):
        full_at = moment
    excess = max(full_at, moment) + cost - moment - period
    return max(0, ceil(min(excess, period) / 1_000_000))


def _wrong_after(moment: int, period: int) -> int:
    """Return the latest time that a clock near ``moment`` can have stored."""
    return moment + period + clock.MAX_AHEAD // _MICROSECOND


def _key(limit: Limit, subject: str) -> str:
    return f"{limit.name}:{subject}"


def microseconds(moment: datetime) -> int:
    """Return a time as ``RateLimit.full_at`` has it: in microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND
