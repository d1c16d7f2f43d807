"""The real application on a database of its own, and the real server in processes of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from apidevices import clock, devices, tokens
from apidevices.database import Database
from apidevices.identity import DEFAULT_HEADERS, DeviceIdentity
from apidevices.state import State
from harness.databases import FILE, Databases, PostgresDatabases, SqliteDatabases, Variables
from harness.postgres import UNSAFE_AND_FAST, Postgres
from harness.real_server import RealServer, configures_the_product

DEVICE = "/api/v1/device"
UPLOADS = "/api/v1/uploads"
DEVICES = "/api/v1/devices"

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]

NOON = datetime(2030, 5, 17, 12, tzinfo=UTC)

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.register_profile("torture", deadline=None)
hypothesis.settings.load_profile("tests")


def make_product() -> Flask:
    """Make the standalone application, configured by the environment."""
    # Imported here: the tests of hosts also run where its packages are missing.
    import app as product

    return product.create_app()


def state_of(app: Flask) -> State:
    """Return what the extension keeps for an application."""
    state: State = app.extensions["apidevices"]
    return state


def as_device(token: str, identifier: str | None = "phone-1", **details: str) -> dict[str, str]:
    """Return the headers of a request by a device; details go by their field names."""
    said = details if identifier is None else {"identifier": identifier, **details}
    named = {DEFAULT_HEADERS[field][0]: value for field, value in said.items()}
    return {"Authorization": f"Bearer {token}", **named}


def on_the_wire(text: str) -> str:
    """Return text as a WSGI server hands over the UTF-8 that a client sent."""
    return text.encode().decode("latin-1")


# --- the application in this process -----------------------------------------------------------


class MakeApp(Protocol):
    """Makes an application with more of its environment."""

    def __call__(self, **variables: str) -> Flask: ...


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in filter(configures_the_product, list(os.environ)):
        monkeypatch.delenv(variable)


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The instance folder that the environment names."""
    folder = tmp_path / "instance"
    monkeypatch.setenv("APIDEVICES_INSTANCE", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for all tests that neither stop nor hurt it."""
    with Postgres(*UNSAFE_AND_FAST) as running:
        yield running


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Where databases are made: every test that needs one runs on both kinds."""
    if request.param == "sqlite":
        return SqliteDatabases()
    return PostgresDatabases(request.getfixturevalue("postgres"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what ``@pytest.mark.database("sqlite")`` and its like say makes no sense."""
    left_out = [item for item in items if not _makes_sense(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _makes_sense(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("database")
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return marker is None or parameters.get("databases", marker.args[0]) in marker.args


@pytest.fixture(scope="session")
def migrated(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Variables:
    """A database with all tables, to be copied: migrating takes longer than most tests."""
    variables = databases.empty(tmp_path_factory.mktemp("migrated"))
    with only(variables):
        app = make_product()
        with app.app_context():
            import_module("apidevices.standalone.migrations").upgrade()
        state_of(app).close()
    return variables


@pytest.fixture
def url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, for a host application."""
    (tmp_path / "instance").mkdir()
    database = databases.empty(tmp_path / "instance")
    url = database.get("DATABASE_URL", f"sqlite:///{tmp_path / 'instance' / FILE}")
    yield url.replace("postgresql://", "postgresql+psycopg://")
    databases.drop(database)


@contextmanager
def only(variables: Variables) -> Iterator[None]:
    """Configure the product by these variables and by nothing else."""
    with pytest.MonkeyPatch.context() as environment:
        for variable in filter(configures_the_product, list(os.environ)):
            environment.delenv(variable)
        for variable, value in variables.items():
            environment.setenv(variable, value)
        yield


@pytest.fixture
def make_bare_app(
    databases: Databases, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeApp]:
    """Make applications on one database, with no tables at first."""
    yield from _make_apps(databases, databases.empty(instance), monkeypatch)


@pytest.fixture
def template(migrated: Variables) -> Variables:
    """The database that applications get a copy of."""
    return migrated


@pytest.fixture
def make_app(
    databases: Databases, template: Variables, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeApp]:
    """Make applications on one database with all tables."""
    yield from _make_apps(databases, databases.copy(template, instance), monkeypatch)


def _make_apps(
    databases: Databases, database: Variables, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeApp]:
    made = []

    def make(**variables: str) -> Flask:
        for variable, value in (database | variables).items():
            monkeypatch.setenv(variable, value)
        made.append(make_product())
        return made[-1]

    yield make
    for app in made:
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
    """Creates a token and returns its text."""

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
    """A token without scopes: what devices call with."""
    return new_token()


class Administrator:
    """Sees and steers devices through the management API, as a program of an administrator."""

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
        """Return a device, with all activity that was noted so far."""
        [found] = [device for device in self.devices() if device["identifier"] == identifier]
        return found

    def devices(self, query: str = "") -> list[dict[str, Any]]:
        """Return the first page of the list, with all activity that was noted so far."""
        state_of(self._app).activity.flush()
        listed: list[dict[str, Any]] = self._done("GET", f"{DEVICES}{query}")["devices"]
        return listed

    def history(self, identifier: str = "phone-1") -> list[dict[str, Any]]:
        """Return the first page of a device's history, newest first."""
        path = f"{DEVICES}/{self.device(identifier)['id']}/history"
        entries: list[dict[str, Any]] = self._done("GET", path)["history"]
        return entries

    def rename(self, name: str, identifier: str = "phone-1") -> None:
        self._done("PATCH", f"{DEVICES}/{self.device(identifier)['id']}", json={"name": name})

    def block(self, identifier: str = "phone-1", reason: str | None = None) -> None:
        path = f"{DEVICES}/{self.device(identifier)['id']}/block"
        self._done("POST", path, json={"reason": reason})

    def unblock(self, identifier: str = "phone-1") -> None:
        self._done("POST", f"{DEVICES}/{self.device(identifier)['id']}/unblock")

    def _done(self, method: str, path: str, **options: Any) -> Any:
        answer = self.request(method, path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json


@pytest.fixture
def administrator(app: Flask, new_token: NewToken) -> Administrator:
    return Administrator(app, new_token("devices:read", "devices:write", name="administrator"))


class Clock:
    """The time as the application sees it, once set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def set(self, moment: datetime) -> None:
        self._monkeypatch.setattr(clock, "now", lambda: moment)


@pytest.fixture
def the_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Register(Protocol):
    """Registers a device, without a request, and returns its id."""

    def __call__(self, identifier: str, at: datetime = NOON, **details: str) -> int: ...


@pytest.fixture
def register(db: Database) -> Register:
    now = NOON - timedelta(days=1)
    token_id = tokens.issue(db, "of a registration", actor="the test", now=now)[0].id

    def report(identifier: str, at: datetime = NOON, **details: str) -> int:
        identity = DeviceIdentity(identifier, details)
        reported = devices.report(db, identity, token_id=token_id, address="192.0.2.1", now=at)
        return reported.device_id

    return report


# --- the real server ---------------------------------------------------------------------------


class StartServer(Protocol):
    """Makes a server, to be started by ``with``, with more of its environment."""

    def __call__(self, **variables: str) -> RealServer: ...


@pytest.fixture
def make_server(databases: Databases, tmp_path: Path) -> Iterator[StartServer]:
    """Make servers for tests that stop or hurt them; all have one instance and one database."""
    database = databases.empty(tmp_path / "instance")

    def make(**variables: str) -> RealServer:
        return RealServer(tmp_path / "instance", variables=database | variables)

    yield make
    databases.drop(database)


@pytest.fixture(scope="session")
def server(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One server for all tests that neither stop nor hurt it; each uses devices of its own."""
    instance = tmp_path_factory.mktemp("server") / "instance"
    database = databases.empty(instance)
    with RealServer(instance, variables={"WEB_CONCURRENCY": "4"} | database) as running:
        yield running
    databases.drop(database)
