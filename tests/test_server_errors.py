"""Server errors of the API: unexpected exceptions, and databases that are unavailable."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from apidevices import devices
from apidevices.database import Database, backend, engine_options
from harness.databases import Databases
from harness.real_server import SQLITE_FILE
from tests.conftest import (
    DEVICE,
    DEVICES,
    UPLOADS,
    Administrator,
    MakeApp,
    as_device,
    state_of,
)
from tests.test_errors import problem


def test_unexpected_exception_gets_500_without_its_message(
    client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(devices, "get", fail)
    response = client.get(DEVICE, headers=as_device(token))
    assert "hunter2" not in problem(response, 500, "internal_error")["detail"]


def assert_unavailable(response: TestResponse) -> None:
    problem(response, 503, "unavailable")
    assert int(response.headers["Retry-After"]) > 0


class OtherConnection:
    """A connection of another process to the application's database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection.execution_options(isolation_level="AUTOCOMMIT")

    def run(self, statement: str) -> None:
        self._connection.exec_driver_sql(statement)

    def lock(self) -> None:
        """Block all other writes until ``unlock``."""
        if self._connection.dialect.name == "sqlite":
            self.run("BEGIN IMMEDIATE")
        else:
            self.run("BEGIN")
            self.run(
                "LOCK TABLE apidevices_devices, apidevices_device_activity, apidevices_uploads"
                " IN EXCLUSIVE MODE"
            )

    def unlock(self) -> None:
        self.run("ROLLBACK")


@pytest.fixture
def other_connection(db: Database) -> Iterator[OtherConnection]:
    engine = create_engine(db.engine.url, **engine_options(db.engine.url, threads=1))
    with engine.connect() as connection:
        yield OtherConnection(connection)
    engine.dispose()


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
@pytest.mark.parametrize("path", [DEVICE, UPLOADS, DEVICES, "/api/v1/no/such/path"])
def test_missing_table_gets_503(
    client: FlaskClient, token: str, other_connection: OtherConnection, method: str, path: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    other_connection.run("ALTER TABLE apidevices_api_tokens RENAME TO elsewhere")
    assert_unavailable(client.open(path, method=method, headers=as_device(token)))


def test_requests_succeed_again_after_503(
    client: FlaskClient, token: str, other_connection: OtherConnection
) -> None:
    other_connection.run("ALTER TABLE apidevices_api_tokens RENAME TO elsewhere")
    assert_unavailable(client.get(DEVICE, headers=as_device(token)))
    other_connection.run("ALTER TABLE elsewhere RENAME TO apidevices_api_tokens")
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200


def test_unavailable_database_gets_503(
    databases: Databases, make_bare_app: MakeApp, instance: Path
) -> None:
    client = make_bare_app(**databases.unavailable(instance)).test_client()
    assert_unavailable(client.get(DEVICE, headers=as_device("x")))


def test_unmigrated_database_gets_503(make_bare_app: MakeApp) -> None:
    assert_unavailable(make_bare_app().test_client().get(DEVICE, headers=as_device("x")))


@pytest.mark.database("sqlite")
def test_corrupt_database_gets_503(make_bare_app: MakeApp, instance: Path) -> None:
    instance.mkdir()
    (instance / SQLITE_FILE).write_bytes(b"This is not a database. " * 1000)
    assert_unavailable(make_bare_app().test_client().get(DEVICE, headers=as_device("x")))


def test_database_error_during_a_request_gets_503(
    client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(devices, "get", fail)
    assert_unavailable(client.get(DEVICE, headers=as_device(token)))


def test_database_error_in_the_management_api_is_logged(
    administrator: Administrator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(devices, "get", fail)
    assert_unavailable(administrator.request("GET", f"{DEVICES}/1"))
    assert "The database is unavailable" in caplog.text


@pytest.fixture
def short_timeout_app(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """An application with a short lock timeout."""
    monkeypatch.setattr(backend, "LOCK_TIMEOUT", 0.05)
    return make_app()


def test_write_that_times_out_gets_503(
    short_timeout_app: Flask, token: str, other_connection: OtherConnection
) -> None:
    client = short_timeout_app.test_client()
    client.get(DEVICE, headers=as_device(token, model="iPhone 14"))
    other_connection.lock()
    # Requests that need no write still succeed. The others must not report success.
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200
    assert_unavailable(client.get(DEVICE, headers=as_device(token, "phone-2")))
    assert_unavailable(client.get(DEVICE, headers=as_device(token, model="iPhone 15")))
    assert_unavailable(client.post(UPLOADS, headers=as_device(token), json={}))


def test_activity_is_written_after_the_database_is_unlocked(
    short_timeout_app: Flask, token: str, other_connection: OtherConnection
) -> None:
    client = short_timeout_app.test_client()
    seen = client.get(DEVICE, headers=as_device(token)).get_json()["last_active_at"]
    other_connection.lock()
    client.get(DEVICE, headers=as_device(token))
    state_of(short_timeout_app).activity.flush()
    other_connection.unlock()
    state_of(short_timeout_app).activity.flush()
    assert client.get(DEVICE, headers=as_device(token)).get_json()["last_active_at"] > seen
