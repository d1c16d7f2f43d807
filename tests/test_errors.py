"""Every error of the API is a problem that programs can tell by its code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from apidevices import devices
from apidevices.database import Database, backend, engine_options
from apidevices.standalone.uploads import MAX_BYTES
from harness.databases import FILE, Databases
from tests.conftest import (
    DEVICE,
    DEVICES,
    UPLOADS,
    Administrator,
    MakeApp,
    as_device,
    state_of,
)


def problem(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a whole problem, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    body: dict[str, Any] = answer.get_json(force=True)
    assert list(body) == ["type", "title", "status", "detail", "code"]
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"].endswith(code)
    assert body["title"]
    assert body["detail"]
    return body


# --- of the request ----------------------------------------------------------------------------


def test_400_device_id_required(client: FlaskClient, token: str) -> None:
    for answer in (
        client.get(DEVICE, headers=as_device(token, None)),
        client.post(UPLOADS, headers=as_device(token, None), json={}),
    ):
        assert "X-Device-ID" in problem(answer, 400, "device_id_required")["detail"]


def test_400_device_id_invalid(client: FlaskClient, token: str) -> None:
    answer = client.get(DEVICE, headers=as_device(token, "a,b"))
    assert "comma" in problem(answer, 400, "device_id_invalid")["detail"]


def test_400_invalid_request(client: FlaskClient, token: str) -> None:
    answer = client.post(
        UPLOADS, headers=as_device(token), data="{", content_type="application/json"
    )
    problem(answer, 400, "invalid_request")


def test_401_token_missing(client: FlaskClient) -> None:
    problem(client.get(DEVICE), 401, "token_missing")


def test_401_token_invalid(client: FlaskClient) -> None:
    problem(client.get(DEVICE, headers=as_device("x")), 401, "token_invalid")


def test_403_device_blocked(client: FlaskClient, administrator: Administrator, token: str) -> None:
    client.get(DEVICE, headers=as_device(token))
    administrator.block()
    answer = client.get(DEVICE, headers=as_device(token))
    assert "token is not at fault" in problem(answer, 403, "device_blocked")["detail"]
    assert "WWW-Authenticate" not in answer.headers


def test_403_insufficient_scope(client: FlaskClient, token: str) -> None:
    answer = client.get(DEVICES, headers=as_device(token))
    assert "devices:read" in problem(answer, 403, "insufficient_scope")["detail"]
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert 'scope="devices:read"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1", "/api/v2/device", f"{DEVICE}/"])
def test_404_not_found(client: FlaskClient, token: str, path: str) -> None:
    problem(client.get(path, headers=as_device(token)), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", DEVICE, {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", DEVICE, {"GET", "HEAD", "OPTIONS"}),
        ("GET", UPLOADS, {"POST", "OPTIONS"}),
        ("PUT", DEVICES, {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", f"{DEVICES}/1", {"GET", "HEAD", "OPTIONS", "PATCH"}),
        ("GET", f"{DEVICES}/1/block", {"POST", "OPTIONS"}),
    ],
)
def test_405_method_not_allowed(
    client: FlaskClient, token: str, method: str, path: str, allowed: set[str]
) -> None:
    answer = client.open(path, method=method, headers=as_device(token))
    problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == allowed


def test_413_payload_too_large(client: FlaskClient, token: str) -> None:
    answer = client.post(
        UPLOADS,
        headers=as_device(token),
        data=b'"' + b"x" * (MAX_BYTES - 1) + b'"',
        content_type="application/json",
    )
    problem(answer, 413, "payload_too_large")


@pytest.mark.parametrize("content_type", [None, "text/plain", "multipart/form-data"])
def test_415_unsupported_media_type(
    client: FlaskClient, token: str, content_type: str | None
) -> None:
    answer = client.post(UPLOADS, headers=as_device(token), data=b"{}", content_type=content_type)
    problem(answer, 415, "unsupported_media_type")


def test_422_invalid_request(administrator: Administrator) -> None:
    answer = administrator.request("GET", f"{DEVICES}?status=asleep")
    assert "status" in problem(answer, 422, "invalid_request")["detail"]


# --- of the server -----------------------------------------------------------------------------


def test_500_internal_error_tells_no_secret(
    client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(devices, "get", fail)
    answer = client.get(DEVICE, headers=as_device(token))
    assert "hunter2" not in problem(answer, 500, "internal_error")["detail"]


def unavailable(answer: TestResponse) -> None:
    problem(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


class SomebodyElse:
    """A connection to the same database that isn't the application's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection.execution_options(isolation_level="AUTOCOMMIT")

    def run(self, statement: str) -> None:
        self._connection.exec_driver_sql(statement)

    def lock(self) -> None:
        """Let nobody else write until ``unlock``."""
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
def somebody_else(db: Database) -> Iterator[SomebodyElse]:
    engine = create_engine(db.engine.url, **engine_options(db.engine.url, threads=1))
    with engine.connect() as connection:
        yield SomebodyElse(connection)
    engine.dispose()


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
@pytest.mark.parametrize("path", [DEVICE, UPLOADS, DEVICES, "/api/v1/no/such/path"])
def test_503_where_the_database_can_t_be_asked(
    client: FlaskClient, token: str, somebody_else: SomebodyElse, method: str, path: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    somebody_else.run("ALTER TABLE apidevices_api_tokens RENAME TO elsewhere")
    unavailable(client.open(path, method=method, headers=as_device(token)))


def test_503_ends_with_its_cause(
    client: FlaskClient, token: str, somebody_else: SomebodyElse
) -> None:
    somebody_else.run("ALTER TABLE apidevices_api_tokens RENAME TO elsewhere")
    unavailable(client.get(DEVICE, headers=as_device(token)))
    somebody_else.run("ALTER TABLE elsewhere RENAME TO apidevices_api_tokens")
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200


def test_503_where_there_is_no_database(
    databases: Databases, make_bare_app: MakeApp, instance: Path
) -> None:
    unavailable(
        make_bare_app(**databases.unavailable(instance))
        .test_client()
        .get(DEVICE, headers=as_device("x"))
    )


def test_503_where_the_database_is_empty(make_bare_app: MakeApp) -> None:
    unavailable(make_bare_app().test_client().get(DEVICE, headers=as_device("x")))


@pytest.mark.database("sqlite")
def test_503_where_the_database_is_damaged(make_bare_app: MakeApp, instance: Path) -> None:
    instance.mkdir()
    (instance / FILE).write_bytes(b"This is not a database. " * 1000)
    unavailable(make_bare_app().test_client().get(DEVICE, headers=as_device("x")))


def test_503_where_the_database_goes_away_during_the_request(
    client: FlaskClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(devices, "get", fail)
    unavailable(client.get(DEVICE, headers=as_device(token)))


@pytest.fixture
def impatient_app(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """An application that waits only shortly for another process's write."""
    monkeypatch.setattr(backend, "LOCK_TIMEOUT", 0.05)
    return make_app()


def test_503_where_nothing_can_be_stored(
    impatient_app: Flask, token: str, somebody_else: SomebodyElse
) -> None:
    client = impatient_app.test_client()
    client.get(DEVICE, headers=as_device(token, model="iPhone 14"))
    somebody_else.lock()
    # What needs no write goes on; what does is not answered as if it had been done.
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200
    unavailable(client.get(DEVICE, headers=as_device(token, "phone-2")))
    unavailable(client.get(DEVICE, headers=as_device(token, model="iPhone 15")))
    unavailable(client.post(UPLOADS, headers=as_device(token), json={}))


def test_activity_waits_for_the_database(
    impatient_app: Flask, token: str, somebody_else: SomebodyElse
) -> None:
    client = impatient_app.test_client()
    seen = client.get(DEVICE, headers=as_device(token)).get_json()["last_active_at"]
    somebody_else.lock()
    client.get(DEVICE, headers=as_device(token))
    state_of(impatient_app).activity.flush()
    somebody_else.unlock()
    state_of(impatient_app).activity.flush()
    assert client.get(DEVICE, headers=as_device(token)).get_json()["last_active_at"] > seen
