"""The server runs the tasks of upkeep in a background thread."""

import logging
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from apidevices import clock, limits, upkeep
from apidevices.database import Database
from apidevices.models import RateLimit
from apidevices.standalone.asgi import Application
from apidevices.standalone.housekeeping import Housekeeping
from apidevices.standalone.settings import ServerSettings
from apidevices.upkeep import tasks
from harness.real_server import wait_until
from tests.conftest import Register, state_of
from tests.event_loops import run_async
from tests.test_retention import HOUR, count, fill


def is_running() -> bool:
    return any(thread.name == "apidevices-housekeeping" for thread in threading.enumerate())


@pytest.fixture
def now() -> datetime:
    return clock.now()


@pytest.fixture
def keeper(app: Flask) -> Iterator[Housekeeping]:
    keeper = Housekeeping(state_of(app), first_run=0.01, interval=0.01)
    yield keeper
    keeper.stop()


def test_background_thread_prunes_and_logs_one_line(
    db: Database,
    register: Register,
    keeper: Housekeeping,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(db, register, "UPLOADS", [timedelta(days=400), HOUR])
    done, run = threading.Event(), keeper.run

    def run_and_tell() -> None:
        run()
        done.set()

    monkeypatch.setattr(keeper, "run", run_and_tell)
    with caplog.at_level(logging.INFO, "apidevices.housekeeping"):
        keeper.start()
        assert done.wait(10)
        keeper.stop()
    assert count(db, "UPLOADS") == 1
    assert [record.message for record in caplog.records] == ["Housekeeping: delete uploads: 1"]


@pytest.mark.database("sqlite")
def test_server_starts_and_stops_the_background_thread(app: Flask) -> None:
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    running = []

    async def receive() -> dict[str, str]:
        return next(messages)

    async def send(_message: dict[str, str]) -> None:
        running.append(is_running())

    application = Application(app, ServerSettings.from_environ())
    run_async(application({"type": "lifespan"}, receive, send))
    assert running == [True, False]


def test_only_one_process_prunes_within_an_hour(
    app: Flask, db: Database, register: Register
) -> None:
    for run in range(2):
        fill(db, register, "UPLOADS", [timedelta(days=400)])
        Housekeeping(state_of(app)).run()
        assert count(db, "UPLOADS") == run


def test_background_runs_continue_after_a_run_while_the_clock_was_years_ahead(
    app: Flask, db: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "MAX_AHEAD", timedelta(days=1))
    keeper = Housekeeping(state_of(app))
    with monkeypatch.context() as years_ahead:
        years_ahead.setattr(upkeep, "database_time", lambda _db: now + timedelta(days=3650))
        keeper.run()
    with db.write() as session:
        limits.take(db, session, limits.Limit("test", 1, HOUR), "x", now - timedelta(days=1))
    keeper.run()
    with db.read() as session:
        assert "test:x" not in session.scalars(select(RateLimit.key)).all()


def test_server_that_starts_with_a_clock_years_ahead_deletes_nothing_for_a_day(
    app: Flask,
    db: Database,
    register: Register,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(clock, "MAX_AHEAD", timedelta(days=1))
    keeper = Housekeeping(state_of(app))
    keeper.run()
    fill(db, register, "UPLOADS", [HOUR])

    def run(ahead: timedelta) -> int:
        monkeypatch.setattr(upkeep, "database_time", lambda _db: now + ahead)
        keeper.run()
        return count(db, "UPLOADS")

    years = timedelta(days=3650)
    assert [run(years), run(years + 23 * HOUR), run(2 * HOUR)] == [1, 1, 1]
    assert len(caplog.records) == 1
    assert [run(years + 48 * HOUR), run(years + 71 * HOUR)] == [1, 1]
    assert run(years + 73 * HOUR) == 0


@pytest.mark.database("sqlite")
def test_background_thread_does_not_use_the_disk_reserve(
    app: Flask, db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db, register, "UPLOADS", [timedelta(days=400)])
    reserve = state_of(app).db.reserve
    monkeypatch.setattr(reserve, "release_if_needed", lambda: pytest.fail("uses the reserve"))
    Housekeeping(state_of(app)).run()
    assert count(db, "UPLOADS") == 0


@pytest.mark.database("sqlite")
def test_background_thread_survives_an_outage(
    keeper: Housekeeping, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = threading.Event(), threading.Event()

    def fail() -> None:
        (second if first.is_set() else first).set()
        raise OperationalError("SELECT 1", None, Exception("the database is unavailable"))

    monkeypatch.setattr(keeper, "run", fail)
    keeper.start()
    assert second.wait(10)
    assert "the database is unavailable" in caplog.text


@pytest.mark.database("sqlite")
def test_background_thread_pauses_after_the_clock_was_set(
    keeper: Housekeeping, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper, "run", lambda: pytest.fail("must not run"))
    tomorrow = time.time() + timedelta(days=2).total_seconds()
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    keeper.start()
    wait_until(lambda: "The clock was set" in caplog.text)


@pytest.mark.database("sqlite")
def test_stop_ends_the_thread_between_two_batches(
    app: Flask, db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "BATCH", 1)
    monkeypatch.setattr(tasks, "PAUSE", 60)
    fill(db, register, "UPLOADS", [timedelta(days=400)] * 3)
    keeper = Housekeeping(state_of(app), first_run=0.01)
    keeper.start()
    keeper.stop()
    assert not is_running()
    assert count(db, "UPLOADS") > 0
