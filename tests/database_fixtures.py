"""Fixtures that create databases."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from harness.databases import FILE, Databases, PostgresDatabases, SqliteDatabases, Variables
from harness.postgres import UNSAFE_AND_FAST, Postgres
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
    """Deselect tests on databases that their ``@pytest.mark.database(...)`` does not list."""
    deselected = [item for item in items if not _supports_database(item)]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in deselected]


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


@pytest.fixture
def url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, for a host application."""
    (tmp_path / "instance").mkdir()
    database = databases.empty(tmp_path / "instance")
    url = database.get("DATABASE_URL", f"sqlite:///{tmp_path / 'instance' / FILE}")
    yield url.replace("postgresql://", "postgresql+psycopg://")
    databases.drop(database)
