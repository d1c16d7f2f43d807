"""Fixtures that run the real server in its own processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.databases import Databases
from harness.real_server import RealServer
from tests.conftest import StartServer


@pytest.fixture
def make_server(databases: Databases, tmp_path: Path) -> Iterator[StartServer]:
    """Create servers for tests that stop or kill them. They share one instance and one database."""
    database = databases.empty(tmp_path / "instance")

    def make(**variables: str) -> RealServer:
        return RealServer(tmp_path / "instance", variables=database | variables)

    yield make
    databases.drop(database)


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
