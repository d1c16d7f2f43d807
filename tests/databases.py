"""Databases for tests, each named by the variables that configure the product to use it."""

import shutil
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from tests.postgres import Postgres
from tests.real_server import free_port

Variables = dict[str, str]

FILE = "apidevices.sqlite3"


class Databases(Protocol):
    """Makes databases of one kind."""

    def empty(self, instance: Path) -> Variables:
        """Make a database without tables for an instance folder, which need not be there."""

    def copy(self, database: Variables, instance: Path) -> Variables:
        """Make a copy of a database that nobody is connected to, for another instance folder."""

    def drop(self, database: Variables) -> None:
        """Remove a database."""

    def away(self, instance: Path) -> Variables:
        """Name a database that can't be asked."""


class SqliteDatabases:
    """Files in the instance folder, where the product keeps them unless told otherwise."""

    def empty(self, instance: Path) -> Variables:
        """Return the instance folder: the file makes itself."""
        return {"APIDEVICES_INSTANCE": str(instance)}

    def copy(self, database: Variables, instance: Path) -> Variables:
        """Copy the file."""
        instance.mkdir()
        shutil.copy(Path(database["APIDEVICES_INSTANCE"]) / FILE, instance)
        return self.empty(instance)

    def drop(self, database: Variables) -> None:
        """Leave it to who removes the folder."""

    def away(self, instance: Path) -> Variables:
        """Put a folder where the file would be."""
        (instance / FILE).mkdir(parents=True)
        return self.empty(instance)


class PostgresDatabases:
    """Databases of one server."""

    def __init__(self, server: Postgres) -> None:
        self._server = server

    def empty(self, instance: Path) -> Variables:
        """Create a database."""
        return self._create(instance, "template0")

    def copy(self, database: Variables, instance: Path) -> Variables:
        """Create a database from another one."""
        return self._create(instance, _name(database))

    def drop(self, database: Variables) -> None:
        """Drop it, whoever is connected."""
        self._server.drop_database(_name(database))

    def away(self, instance: Path) -> Variables:
        """Name a port that nobody listens on."""
        url = f"postgresql://postgres@127.0.0.1:{free_port()}/nowhere"
        return {"APIDEVICES_INSTANCE": str(instance), "DATABASE_URL": url}

    def _create(self, instance: Path, template: str) -> Variables:
        url = self._server.create_database(f"test_{uuid4().hex}", template)
        return {"APIDEVICES_INSTANCE": str(instance), "DATABASE_URL": url}


def _name(database: Variables) -> str:
    return database["DATABASE_URL"].rpartition("/")[2]
