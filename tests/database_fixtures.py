"""Fixtures that create databases."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from flask import Flask

from apidevices import APIDevices
from harness.databases import Databases, PostgresDatabases, SqliteDatabases, Variables
from harness.postgres import UNSAFE_AND_FAST, Postgres
from harness.real_server import SQLITE_FILE
from tests.conftest import make_standalone_app, only_settings, state_of


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests that leave it running."""
    with Postgres(*UNSAFE_AND_FAST) as running:
        yield running


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """The kind of database. Tests that need a database run once on each kind."""
    if request.param == "sqlite":
        return SqliteDatabases()
    return PostgresDatabases(request.getfixturevalue("postgres"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests on databases that their ``@pytest.mark.database(...)`` does not list.

    Begin with the longest test.
    """
    deselected = [item for item in items if not _supports_database(item)]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if _supports_database(item)]
    # The longest test begins first. At the end, the other processes would wait for it.
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)


def _supports_database(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("database")
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return marker is None or parameters.get("databases", marker.args[0]) in marker.args


@pytest.fixture(scope="session")
def migrated(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Variables:
    """A database with all tables, for tests to copy: migrating takes longer than most tests."""
    variables = databases.empty(tmp_path_factory.mktemp("migrated"))
    with only_settings(variables):
        app = make_standalone_app()
        with app.app_context():
            import_module("apidevices.standalone.migrations").upgrade()
        state_of(app).close()
    return variables


@pytest.fixture(scope="session")
def host_tables(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Variables:
    """A database with the extension's tables, but not those of the standalone application."""
    instance = tmp_path_factory.mktemp("host")
    database = databases.empty(instance)
    app = Flask("host")
    extension = APIDevices(db=_host_url(database, instance))
    extension.init_app(app)
    with app.app_context():
        extension.upgrade()
    state_of(app).close()
    return database


@pytest.fixture
def url(databases: Databases, host_tables: Variables, tmp_path: Path) -> Iterator[str]:
    """The URL of a database for a host application, with the extension's tables.

    An upgrade finds nothing left to do there: creating the tables takes longer than most tests.
    """
    database = databases.copy(host_tables, tmp_path / "instance")
    yield _host_url(database, tmp_path / "instance")
    databases.drop(database)


@pytest.fixture
def empty_url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, for a host application."""
    instance = tmp_path / "instance"
    instance.mkdir()
    database = databases.empty(instance)
    yield _host_url(database, instance)
    databases.drop(database)


def _host_url(database: Variables, instance: Path) -> str:
    url = database.get("DATABASE_URL", f"sqlite:///{instance / SQLITE_FILE}")
    return url.replace("postgresql://", "postgresql+psycopg://")
