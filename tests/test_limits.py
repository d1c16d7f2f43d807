"""Rate limits, shared by all processes through the database."""

from datetime import timedelta

import pytest
from flask import Flask

from apidevices import clock, limits
from apidevices.errors import LimitReached
from apidevices.limits import HOUR, Limit
from tests.conftest import NOON, state_of

THREE_AN_HOUR = Limit("test", 3, HOUR)


def take(app: Flask, limit: Limit = THREE_AN_HOUR, amount: int = 1, *, minutes: float = 0) -> None:
    db = state_of(app).db
    with db.write() as session:
        limits.take(db, session, limit, "token:1", NOON + timedelta(minutes=minutes), amount)


def test_limit_is_reached_after_its_number(app: Flask) -> None:
    for _ in range(3):
        take(app)
    with pytest.raises(LimitReached) as reached:
        take(app)
    assert reached.value.retry_after == 20 * 60


def test_limit_refills_evenly(app: Flask) -> None:
    for _ in range(3):
        take(app)
    take(app, minutes=20)
    with pytest.raises(LimitReached):
        take(app, minutes=39)
    take(app, minutes=40)


def test_unused_limit_does_not_accumulate(app: Flask) -> None:
    take(app)
    take(app, amount=3, minutes=600)
    with pytest.raises(LimitReached):
        take(app, minutes=600)


def test_amount_above_the_limit_is_never_accepted(app: Flask) -> None:
    for hours in (0, 100):
        with pytest.raises(LimitReached):
            take(app, amount=4, minutes=60 * hours)
    take(app, amount=3)


def test_subjects_have_separate_limits(app: Flask) -> None:
    take(app, amount=3)
    db = state_of(app).db
    with db.write() as session:
        limits.take(db, session, THREE_AN_HOUR, "token:2", NOON, 3)


def test_zero_means_no_limit(app: Flask) -> None:
    take(app, Limit("test", 0, HOUR), 1_000_000)


def test_check_counts_nothing(app: Flask) -> None:
    for _ in range(5):
        with state_of(app).db.read() as session:
            limits.check(session, THREE_AN_HOUR, "token:1", NOON)
    take(app, amount=3)
    with state_of(app).db.read() as session, pytest.raises(LimitReached) as reached:
        limits.check(session, THREE_AN_HOUR, "token:1", NOON)
    assert reached.value.retry_after == 20 * 60


def test_limit_reached_while_the_clock_was_years_ahead_denies_nothing(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "MAX_AHEAD", timedelta(days=1))
    take(app, amount=3, minutes=60 * 24 * 3650)
    with state_of(app).db.read() as session:
        limits.check(session, THREE_AN_HOUR, "token:1", NOON)
    take(app, amount=3)
    with pytest.raises(LimitReached):
        take(app)
