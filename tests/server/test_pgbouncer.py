"""PgBouncer with transaction pooling between API Devices and PostgreSQL."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import ExecStatus
from sqlalchemy import text

from apidevices.database import Database, engine_for
from apidevices.lookup import Lookup, make_async_lookup, make_lookup
from apidevices.lookup.statement import Statement
from harness.databases import Databases, Variables
from harness.pgbouncer import PROGRAM, can_keep_prepared_statements, running_pgbouncer
from harness.postgres import Postgres
from harness.real_server import RealServer, Response
from tests.conftest import DEVICE, DEVICES, NOON, UPLOADS, Register, as_device
from tests.event_loops import run_async

pytestmark = pytest.mark.database("postgresql")

VERIFY = "/verify"


@pytest.fixture(scope="module", params=["prepared statements lost", "prepared statements kept"])
def keeps_statements(request: pytest.FixtureRequest) -> bool:
    """Whether PgBouncer keeps prepared statements, which needs version 1.21."""
    if not Path(PROGRAM).exists() and "CI" not in os.environ:
        pytest.skip("PgBouncer is not installed")
    keeps = bool(request.param == "prepared statements kept")
    if keeps and not can_keep_prepared_statements():
        pytest.skip("PgBouncer is older than 1.21")
    return keeps


@pytest.fixture(scope="module")
def pgbouncer_port(postgres: Postgres, keeps_statements: bool) -> Iterator[int]:
    settings = {}
    if can_keep_prepared_statements():
        settings["max_prepared_statements"] = 100 if keeps_statements else 0
    with running_pgbouncer(postgres, default_pool_size=4, **settings) as port:
        yield port


@pytest.fixture
def database(
    databases: Databases, migrated: Variables, postgres: Postgres, tmp_path: Path
) -> Iterator[Variables]:
    """A database with all tables, without PgBouncer."""
    database = databases.copy(migrated, tmp_path / "instance")
    yield database
    # Never reused: PgBouncer might still give connections that this closes to the next test.
    postgres.drop_database(database["DATABASE_URL"].rpartition("/")[2])


@pytest.fixture
def url(database: Variables, postgres: Postgres, pgbouncer_port: int) -> str:
    """The URL of the database through PgBouncer."""
    return database["DATABASE_URL"].replace(f":{postgres.port}/", f":{pgbouncer_port}/")


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    db = Database(engine_for(url))
    yield db
    db.engine.dispose()


@pytest.fixture
def lookup(db: Database) -> Iterator[Lookup]:
    lookup = make_lookup(db, tokens=False)
    yield lookup
    lookup.close()


@pytest.fixture
def other_client(url: str) -> Iterator[psycopg.Connection]:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        yield connection


def occupy_server_connection(client: psycopg.Connection) -> None:
    """Occupy the server connection used last, so that the next query runs on another one."""
    client.execute("BEGIN")
    client.execute("SELECT 1")


def is_known(lookup: Lookup, identifier: str) -> bool:
    return lookup.find(None, identifier, NOON).device is not None


def warnings(log: pytest.LogCaptureFixture) -> int:
    """Return how often the lookup has warned that prepared statements are lost."""
    text = "A connection pooler does not keep prepared statements"
    return sum(message.startswith(text) for message in log.messages)


def test_lookup_finds_a_device_on_another_server_connection(
    lookup: Lookup,
    register: Register,
    other_client: psycopg.Connection,
    keeps_statements: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    register("phone-1")
    assert is_known(lookup, "phone-1")
    assert caplog.messages == []
    occupy_server_connection(other_client)
    assert is_known(lookup, "phone-1")
    assert not is_known(lookup, "phone-2")
    assert warnings(caplog) == (0 if keeps_statements else 1)


def test_lookup_finds_a_device_after_another_process_has_prepared_the_same_statement(
    db: Database,
    lookup: Lookup,
    register: Register,
    keeps_statements: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    register("phone-1")
    assert is_known(lookup, "phone-1")
    with closing(make_lookup(db, tokens=False)) as second:
        assert is_known(second, "phone-1")
    assert warnings(caplog) == (0 if keeps_statements else 1)


def test_statement_does_not_run_another_one_prepared_on_the_same_server_connection(
    postgres: Postgres,
) -> None:
    with closing(postgres.connect()) as connection:
        Statement(b"SELECT 1", []).prepare(connection.pgconn)
        statement = Statement(b"SELECT 2", [])
        unprepared = statement.execute(connection.pgconn, [])
        assert unprepared.status == ExecStatus.FATAL_ERROR
        assert statement.stop_preparing(unprepared)
        assert statement.execute(connection.pgconn, []).get_value(0, 0) == b"2"


def test_async_lookup_finds_devices_on_another_server_connection(
    lookup: Lookup, register: Register, other_client: psycopg.Connection
) -> None:
    register("phone-1")

    async def find_before_and_after() -> list[bool]:
        find = make_async_lookup(lookup, executor)
        try:
            results = [await find.find(None, "phone-1", NOON)]
            occupy_server_connection(other_client)
            for _ in range(2):  # fails and is retried in threads; runs without a retry
                at_once = [find.find(None, "phone-1", NOON) for _ in range(5)]
                results += await asyncio.gather(*at_once)
        finally:
            find.close()
        return [result.device is not None for result in results]

    with ThreadPoolExecutor(2) as executor:
        assert run_async(find_before_and_after()) == [True] * 11


def session_state(db: Database) -> tuple[str, int]:
    """Return the session's lock timeout and the number of statements prepared by psycopg."""
    with db.connect() as connection:
        for _ in range(10):  # psycopg prepares a query when it runs for the sixth time
            timeout = connection.scalar(text("SHOW lock_timeout"))
        query = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE '\\_pg3\\_%'"
        return str(timeout), connection.scalar(text(query)) or 0


def test_engine_leaves_no_state_in_sessions_of_pgbouncer(db: Database) -> None:
    assert session_state(db) == ("0", 0)


def test_engine_without_pgbouncer_keeps_state_in_its_sessions(database: Variables) -> None:
    db = Database(engine_for(database["DATABASE_URL"]))
    assert session_state(db) == ("3s", 1)
    db.engine.dispose()


@pytest.mark.parametrize(("timeout", "effective"), [(None, "3s"), (60, "1min")])
def test_write_through_pgbouncer_has_a_lock_timeout(
    db: Database, timeout: float | None, effective: str
) -> None:
    with db.write(timeout) as session:
        assert session.scalar(text("SHOW lock_timeout")) == effective


class Client:
    """A device with a connection to the server, and an administrator who blocks it."""

    def __init__(self, server: RealServer, token: str, identifier: str) -> None:
        self._connection = server.connect()
        self._token = token
        self._identifier = identifier

    def statuses(self, rounds: int) -> Iterator[tuple[int, int]]:
        """Send all kinds of requests; yield the expected and the actual status of each."""
        device_id = self._as_device("GET", DEVICE).json["id"]
        for number in range(rounds):
            for path in (VERIFY, DEVICE):
                yield 200, self._as_device("GET", path, os_version=f"{number} {path}").status
                yield 200, self._as_device("GET", path).status
            yield 201, self._as_device("POST", UPLOADS).status
            yield 200, self._as_device("GET", VERIFY, f"{self._identifier}-{number}").status
            yield 200, self._as_administrator("GET", f"{DEVICES}?name=phone").status
            for action, expected in (("block", 403), ("unblock", 200)):
                path = f"{DEVICES}/{device_id}/{action}"
                yield 200, self._as_administrator("POST", path).status
                for path in (VERIFY, DEVICE):
                    yield expected, self._as_device("GET", path).status
        self._connection.close()

    def _as_device(
        self, method: str, path: str, identifier: str | None = None, **details: str
    ) -> Response:
        headers = as_device(self._token, identifier or self._identifier, **details)
        return self._send(method, path, headers)

    def _as_administrator(self, method: str, path: str) -> Response:
        return self._send(method, path, as_device(self._token, None))

    def _send(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        body = b"{}" if method == "POST" else None
        self._connection.request(
            method, path, body, {**headers, "Content-Type": "application/json"}
        )
        return Response.read(self._connection.getresponse())


def test_server_answers_every_request_through_pgbouncer(
    database: Variables, url: str, tmp_path: Path
) -> None:
    variables = database | {"DATABASE_URL": url}
    with RealServer(tmp_path / "instance", variables=variables) as server:
        token = server.create_token("test", "devices:read", "devices:write")
        clients = [Client(server, token, f"phone-{number}") for number in range(16)]
        with ThreadPoolExecutor(len(clients)) as pool:
            statuses = list(chain(*pool.map(lambda client: list(client.statuses(5)), clients)))
        assert len(statuses) == len(clients) * 5 * 13
        assert [pair for pair in statuses if pair[0] != pair[1]] == []
        assert "Could not write activity times" not in server.log
