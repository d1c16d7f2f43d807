"""Database configuration, write transactions, and the detection of unavailable databases."""

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
    engine = create_engine(f"sqlite:///{tmp_path}/database", module=sqlite_module(), pool_size=20)
    yield engine
    engine.dispose()


@pytest.fixture
def database(engine: Engine) -> Database:
    """A SQLite database with the table ``things``."""
    prepare(engine)
    database = Database(engine)
    with database.write() as session:
        session.execute(text("CREATE TABLE things (name TEXT UNIQUE)"))
    return database


def names(database: Database) -> list[str]:
    with database.connect() as connection:
        return list(connection.scalars(text("SELECT name FROM things ORDER BY name")))


def add(database: Database, name: str, *, timeout: float | None = None) -> None:
    with database.write(timeout=timeout) as session:
        session.execute(text("INSERT INTO things VALUES (:name)"), {"name": name})


def pretend_version(version: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make SQLite report another version."""
    module = SimpleNamespace(
        sqlite_version_info=version, sqlite_version=".".join(map(str, version))
    )
    monkeypatch.setattr(sqlite, "sqlite_module", lambda: module)


# --- SQLite versions and settings --------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "affected"),
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
def test_versions_with_the_wal_reset_bug_are_detected(
    version: tuple[int, ...], affected: bool
) -> None:
    assert has_wal_reset_bug(version) is affected


@pytest.mark.parametrize(
    ("version", "journal"), [((3, 51, 3), "wal"), ((3, 40, 1), "delete")], ids=["fixed", "affected"]
)
def test_wal_mode_is_not_used_with_an_affected_sqlite_version(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], journal: str
) -> None:
    pretend_version(version, monkeypatch)
    prepare(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == journal


def test_affected_sqlite_version_causes_a_warning(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_version((3, 51, 3), monkeypatch)
    assert sqlite_warning(engine) is None
    pretend_version((3, 40, 1), monkeypatch)
    assert "3.40.1" in (sqlite_warning(engine) or "")


def test_connections_sync_wait_for_locks_and_enforce_foreign_keys(engine: Engine) -> None:
    prepare(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA synchronous")) == 2
        assert connection.scalar(text("PRAGMA busy_timeout")) == LOCK_TIMEOUT * 1000
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1


def test_sqlite_engine_uses_the_newest_available_module(engine: Engine) -> None:
    assert engine_options(engine.url, threads=8)["module"] is sqlite_module()


# --- writing -----------------------------------------------------------------------------------


def test_write_is_visible_after_its_commit_only(database: Database) -> None:
    with database.write() as session:
        session.execute(text("INSERT INTO things VALUES ('lamp')"))
        assert names(database) == []
    assert names(database) == ["lamp"]


def test_failed_write_is_rolled_back(database: Database) -> None:
    def fail() -> None:
        with database.write() as session:
            session.execute(text("INSERT INTO things VALUES ('lamp')"))
            raise RuntimeError("failed halfway")

    with pytest.raises(RuntimeError, match="failed halfway"):
        fail()
    assert names(database) == []
    add(database, "chair")
    assert names(database) == ["chair"]


def test_concurrent_writes_from_many_threads_all_succeed(database: Database) -> None:
    count = 16
    barrier = threading.Barrier(count)

    def write(number: int) -> None:
        barrier.wait(10)
        for turn in range(5):
            add(database, f"{number}-{turn}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(names(database)) == count * 5


WRITE_CONTINUOUSLY = """
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
        time.sleep(0.05)
"""


def test_continuous_writes_of_another_process_do_not_starve_writes(database: Database) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_CONTINUOUSLY, str(database.engine.url)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        try:
            writer.stdout.readline()
            for number in range(10):
                add(database, str(number), timeout=15)
        finally:
            writer.kill()
    assert len(names(database)) == 10


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "unavailable"),
    [
        pytest.param(OperationalError("", {}, Exception()), True, id="operational error"),
        pytest.param(PoolTimeoutError(), True, id="connection pool exhausted"),
        pytest.param(IntegrityError("", {}, Exception()), False, id="integrity error"),
        pytest.param(
            IntegrityError("", {}, Exception(), connection_invalidated=True),
            True,
            id="connection lost",
        ),
        pytest.param(ValueError(), False, id="not a database error"),
    ],
)
def test_unavailable_database_is_distinguished_from_other_errors(
    error: Exception, unavailable: bool
) -> None:
    assert is_unavailable(error) is unavailable
