"""Fixtures that run the standalone application in the test's process, and shared helpers."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from apidevices import clock, devices, snapshots, tokens
from apidevices.database import Database
from apidevices.identity import DEFAULT_HEADERS, DeviceIdentity
from apidevices.state import State
from harness.databases import Databases, Variables
from harness.real_server import RealServer, is_app_setting
from tests.statements import share_statements

pytest_plugins = ("tests.database_fixtures", "tests.server_fixtures")

VERIFY = "/verify"
DEVICE = "/api/v1/device"
UPLOADS = "/api/v1/uploads"
DEVICES = "/api/v1/devices"

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]

NOON = datetime(2030, 5, 17, 12, tzinfo=UTC)

# No deadline: the duration of an example depends on the machine more than on the code. The torture
# profile differs only in tests/test_history_replay.py, which runs more examples with it.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.register_profile("torture", deadline=None)
hypothesis.settings.load_profile("tests")


def pytest_collection_finish() -> None:
    """Make Python collect garbage less often, which would take a fifth of the tests' time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def make_standalone_app() -> Flask:
    """Create the standalone application from the settings in the environment."""
    # Imported here, because the tests of host applications also run without its dependencies.
    import app as standalone

    return standalone.create_app()


def state_of(app: Flask) -> State:
    """Return the extension's state of an application."""
    state: State = app.extensions["apidevices"]
    return state


def as_device(token: str, identifier: str | None = "phone-1", **details: str) -> dict[str, str]:
    """Return the headers of a device's request. Details are keyed by field name."""
    fields = details if identifier is None else {"identifier": identifier, **details}
    headers = {DEFAULT_HEADERS[field][0]: value for field, value in fields.items()}
    return {"Authorization": f"Bearer {token}", **headers}


def on_the_wire(text: str) -> str:
    """Decode the UTF-8 bytes of a text as Latin-1, as WSGI servers do with header values."""
    return text.encode().decode("latin-1")


# --- applications ------------------------------------------------------------------------------


class MakeApp(Protocol):
    """Create an application with additional environment variables."""

    def __call__(self, **variables: str) -> Flask: ...


class StartServer(Protocol):
    """Create a server with additional environment variables. Start it with ``with``."""

    def __call__(self, **variables: str) -> RealServer: ...


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in filter(is_app_setting, list(os.environ)):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("APIDEVICES_DISK_RESERVE", "0")  # it would be allocated for each test


@pytest.fixture(autouse=True)
def _far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept times around NOON, which are years ahead of the database's clock."""
    for tolerance in ("MAX_AHEAD", "MAX_SKEW"):
        monkeypatch.setattr(clock, tolerance, timedelta(days=100 * 365))


@pytest.fixture(autouse=True)
def _always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the figures of pages for each visit, however long it takes on a busy machine."""
    for seconds in ("QUICK", "PATIENCE"):
        monkeypatch.setattr(snapshots, seconds, 30)


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configured instance folder."""
    folder = tmp_path / "instance"
    monkeypatch.setenv("APIDEVICES_INSTANCE", str(folder))
    return folder


@contextmanager
def only_settings(variables: Variables) -> Iterator[None]:
    """Set these variables and unset all other settings of the application."""
    with pytest.MonkeyPatch.context() as environment:
        for variable in filter(is_app_setting, list(os.environ)):
            environment.delenv(variable)
        for variable, value in variables.items():
            environment.setenv(variable, value)
        yield


@pytest.fixture
def make_bare_app(
    databases: Databases, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeApp]:
    """Create applications on one database, without tables."""
    yield from _make_apps(databases, databases.empty(instance), monkeypatch)


@pytest.fixture
def template(migrated: Variables) -> Variables:
    """The database to copy for each test."""
    return migrated


@pytest.fixture
def make_app(
    databases: Databases, template: Variables, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeApp]:
    """Create applications on one database with all tables."""
    yield from _make_apps(databases, databases.copy(template, instance), monkeypatch)


def _make_apps(
    databases: Databases, database: Variables, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeApp]:
    apps = []

    def make(**variables: str) -> Flask:
        for variable, value in (database | variables).items():
            monkeypatch.setenv(variable, value)
        apps.append(make_standalone_app())
        share_statements(state_of(apps[-1]).db.engine)
        return apps[-1]

    yield make
    for app in apps:
        state_of(app).close()
    databases.drop(database)


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.fixture
def db(app: Flask) -> Database:
    return state_of(app).db


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


class NewToken(Protocol):
    """Create a token and return its text."""

    def __call__(
        self, *scopes: str, name: str = "test", expires_at: datetime | None = None
    ) -> str: ...


@pytest.fixture
def new_token(db: Database) -> NewToken:
    def issue(*scopes: str, name: str = "test", expires_at: datetime | None = None) -> str:
        now = clock.now()
        return tokens.issue(db, name, scopes, expires_at=expires_at, actor="the test", now=now)[1]

    return issue


@pytest.fixture
def token(new_token: NewToken) -> str:
    """A token without scopes, like the tokens of devices."""
    return new_token()


class Administrator:
    """A client of the management API."""

    def __init__(self, app: Flask, token: str) -> None:
        self._app = app
        self._client = app.test_client()
        self._headers = {"Authorization": f"Bearer {token}"}

    def request(
        self, method: str, path: str, *, if_match: str | None = None, **options: Any
    ) -> TestResponse:
        headers = self._headers | ({} if if_match is None else {"If-Match": if_match})
        return self._client.open(path, method=method, headers=headers, **options)

    def device(self, identifier: str = "phone-1") -> dict[str, Any]:
        """Return a device, including buffered activity."""
        [found] = [device for device in self.devices() if device["identifier"] == identifier]
        return found

    def devices(self, query: str = "") -> list[dict[str, Any]]:
        """Return the first page of the list, including buffered activity."""
        state_of(self._app).activity.flush()
        listed: list[dict[str, Any]] = self._call("GET", f"{DEVICES}{query}")["devices"]
        return listed

    def history(self, identifier: str = "phone-1") -> list[dict[str, Any]]:
        """Return the first page of a device's history, newest first."""
        path = f"{DEVICES}/{self.device(identifier)['id']}/history"
        entries: list[dict[str, Any]] = self._call("GET", path)["history"]
        return entries

    def rename(self, name: str, identifier: str = "phone-1") -> None:
        self._call("PATCH", f"{DEVICES}/{self.device(identifier)['id']}", json={"name": name})

    def block(self, identifier: str = "phone-1", reason: str | None = None) -> None:
        path = f"{DEVICES}/{self.device(identifier)['id']}/block"
        self._call("POST", path, json={"reason": reason})

    def unblock(self, identifier: str = "phone-1") -> None:
        self._call("POST", f"{DEVICES}/{self.device(identifier)['id']}/unblock")

    def _call(self, method: str, path: str, **options: Any) -> Any:
        response = self.request(method, path, **options)
        assert response.status_code == 200, response.text
        return response.json


@pytest.fixture
def administrator(app: Flask, new_token: NewToken) -> Administrator:
    return Administrator(app, new_token("devices:read", "devices:write", name="administrator"))


class FakeClock:
    """Sets the application's clock. It runs normally until the first ``set``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def set(self, moment: datetime) -> None:
        self._monkeypatch.setattr(clock, "now", lambda: moment)


@pytest.fixture
def fake_clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    return FakeClock(monkeypatch)


class Register(Protocol):
    """Register a device without a request and return its id."""

    def __call__(self, identifier: str, at: datetime = NOON, **details: str) -> int: ...


@pytest.fixture
def register(db: Database) -> Register:
    now = NOON - timedelta(days=1)
    token_id = tokens.issue(db, "registration", actor="the test", now=now)[0].id

    def report(identifier: str, at: datetime = NOON, **details: str) -> int:
        identity = DeviceIdentity(identifier, details)
        reported = devices.report(db, identity, token_id=token_id, address="192.0.2.1", now=at)
        return reported.device_id

    return report
