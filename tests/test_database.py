"""The database as it is used: safe on every SQLite, one transaction a write."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from apidevices.database import (
    LOCK_TIMEOUT,
    Database,
    engine_options,
    is_unavailable,
    prepare,
    sqlite,
    sqlite_module,
    sqlite_warning,
)
from apidevices.database.sqlite import has_wal_reset_bug
from harness.real_server import ROOT


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path}/database", module=sqlite_module(), pool_size=20)
    yield made
    made.dispose()


@pytest.fixture
def things(engine: Engine) -> Database:
    """A database with one table."""
    prepare(engine)
    things = Database(engine)
    with things.write() as session:
        session.execute(text("CREATE TABLE things (name TEXT UNIQUE)"))
    return things


def names(things: Database) -> list[str]:
    with things.connect() as connection:
        return list(connection.scalars(text("SELECT name FROM things ORDER BY name")))


def add(things: Database, name: str) -> None:
    with things.write() as session:
        session.execute(text("INSERT INTO things VALUES (:name)"), {"name": name})


def use(version: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SQLite in use claim to be of a version."""
    module = SimpleNamespace(
        sqlite_version_info=version, sqlite_version=".".join(map(str, version))
    )
    monkeypatch.setattr(sqlite, "sqlite_module", lambda: module)


# --- which SQLite ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "races"),
    [
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 44, 9), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
        ((4, 0, 0), False),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_versions_with_the_race_are_known(version: tuple[int, ...], races: bool) -> None:
    assert has_wal_reset_bug(version) is races


@pytest.mark.parametrize(
    ("version", "journal"), [((3, 51, 3), "wal"), ((3, 40, 1), "delete")], ids=["fixed", "racing"]
)
def test_a_racing_sqlite_is_not_used_in_wal_mode(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], journal: str
) -> None:
    use(version, monkeypatch)
    prepare(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == journal


def test_a_racing_sqlite_is_warned_of(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    use((3, 51, 3), monkeypatch)
    assert sqlite_warning(engine) is None
    use((3, 40, 1), monkeypatch)
    assert "3.40.1" in (sqlite_warning(engine) or "")


def test_connections_are_durable_patient_and_strict(engine: Engine) -> None:
    prepare(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA synchronous")) == 2
        assert connection.scalar(text("PRAGMA busy_timeout")) == LOCK_TIMEOUT * 1000
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1


def test_engine_of_sqlite_has_the_newest_module(engine: Engine) -> None:
    assert engine_options(engine.url, threads=8)["module"] is sqlite_module()


# --- writing -----------------------------------------------------------------------------------


def test_a_write_is_seen_once_it_is_done(things: Database) -> None:
    with things.write() as session:
        session.execute(text("INSERT INTO things VALUES ('lamp')"))
        assert names(things) == []
    assert names(things) == ["lamp"]


def test_a_write_that_fails_is_undone(things: Database) -> None:
    def fail() -> None:
        with things.write() as session:
            session.execute(text("INSERT INTO things VALUES ('lamp')"))
            raise RuntimeError("the rest could not be done")

    with pytest.raises(RuntimeError, match="the rest"):
        fail()
    assert names(things) == []
    add(things, "chair")
    assert names(things) == ["chair"]


def test_many_threads_write_without_meeting(things: Database) -> None:
    count = 16
    together = threading.Barrier(count)

    def write(number: int) -> None:
        together.wait(10)
        for turn in range(5):
            add(things, f"{number}-{turn}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(names(things)) == count * 5


BUSY = """
import sys, time
from sqlalchemy import create_engine, make_url
from apidevices.database import Database, engine_options, prepare

url = make_url(sys.argv[1])
engine = create_engine(url, **engine_options(url, 1))
prepare(engine)
db = Database(engine)
while True:
    with db.write():
        print("writes", flush=True)
        time.sleep(0.02)
"""


def test_a_process_that_writes_without_a_pause_keeps_nobody_out(things: Database) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY, str(things.engine.url)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as busy:
        assert busy.stdout is not None
        try:
            busy.stdout.readline()
            for number in range(10):
                add(things, str(number))
        finally:
            busy.kill()
    assert len(names(things)) == 10


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "away"),
    [
        pytest.param(OperationalError("", {}, Exception()), True, id="operational"),
        pytest.param(PoolTimeoutError(), True, id="no connection free"),
        pytest.param(IntegrityError("", {}, Exception()), False, id="integrity"),
        pytest.param(
            IntegrityError("", {}, Exception(), connection_invalidated=True), True, id="cut off"
        ),
        pytest.param(ValueError(), False, id="not of the database"),
    ],
)
def test_unavailable_is_told_from_wrong(error: Exception, away: bool) -> None:
    assert is_unavailable(error) is away
