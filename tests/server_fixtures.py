"""Fixtures that run the real server in its own processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.databases import Databases, Variables
from harness.real_server import RealServer
from tests.conftest import StartServer


@pytest.fixture
def server_database(
    databases: Databases, migrated: Variables, tmp_path: Path
) -> Iterator[Variables]:
    """The database of ``make_server``. It has all tables."""
    instance = tmp_path / "instance"
    database = databases.copy(migrated, instance)
    make_private(instance)
    yield database
    databases.drop(database)


def make_private(instance: Path) -> None:
    """Give an instance folder the modes that the server gives to its own."""
    instance.mkdir(exist_ok=True)
    instance.chmod(0o700)
    for file in instance.iterdir():
        file.chmod(0o600)


@pytest.fixture
def make_server(server_database: Variables, tmp_path: Path) -> StartServer:
    """Create servers for tests that stop or kill them. They share one instance and one database."""

    def make(**variables: str) -> RealServer:
        return RealServer(tmp_path / "instance", variables=server_database | variables)

    return make


@contextmanager
def shared_server(databases: Databases, folder: Path, **variables: str) -> Iterator[RealServer]:
    """Run a server with an empty database, for several tests."""
    database = databases.empty(folder / "instance")
    with RealServer(folder / "instance", variables=database | variables) as running:
        yield running
    databases.drop(database)


@pytest.fixture(scope="session")
def server(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server for all tests that leave it running. Each test must use its own devices."""
    folder = tmp_path_factory.mktemp("server")
    with shared_server(databases, folder, WEB_CONCURRENCY="4") as running:
        yield running
