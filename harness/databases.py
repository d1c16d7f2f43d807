"""Databases for tests. Each is identified by the environment variables that select it."""

import shutil
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from psycopg import Connection, sql

from harness.postgres import Postgres
from harness.real_server import SQLITE_FILE, free_port

Variables = dict[str, str]


class Databases(Protocol):
    """Creates databases of one kind."""

    def empty(self, instance: Path) -> Variables:
        """Create a database without tables for an instance folder, which may not exist yet."""

    def copy(self, database: Variables, instance: Path) -> Variables:
        """Copy a database that has no connections, for another instance folder."""

    def drop(self, database: Variables) -> None:
        """Delete a database."""

    def unavailable(self, instance: Path) -> Variables:
        """Return an unavailable database."""


class SqliteDatabases:
    """Files in the instance folder, which is the default."""

    def empty(self, instance: Path) -> Variables:
        """Return the instance folder. SQLite creates the file."""
        return {"APIDEVICES_INSTANCE": str(instance)}

    def copy(self, database: Variables, instance: Path) -> Variables:
        """Copy the file."""
        instance.mkdir()
        shutil.copy(Path(database["APIDEVICES_INSTANCE"]) / SQLITE_FILE, instance)
        return self.empty(instance)

    def drop(self, database: Variables) -> None:
        """Do nothing: the file is deleted with its folder."""

    def unavailable(self, instance: Path) -> Variables:
        """Create a folder in place of the file."""
        (instance / SQLITE_FILE).mkdir(parents=True)
        return self.empty(instance)


class PostgresDatabases:
    """Databases on one server.

    Creating a database takes longer than most tests. Copies are therefore reused: once dropped, a
    copy gets its original rows back and serves as the next copy of the same database.
    """

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._contents: dict[str, Contents] = {}
        self._copies: dict[str, str] = {}
        self._clean: dict[str, list[str]] = {}

    def empty(self, instance: Path) -> Variables:
        """Create a database."""
        return self._variables(self._create("template0"), instance)

    def copy(self, database: Variables, instance: Path) -> Variables:
        """Reuse a clean copy or create one."""
        template = _name(database)
        if template not in self._contents:
            with self._server.connect(template) as connection:
                self._contents[template] = Contents(connection)
        clean = self._clean.setdefault(template, [])
        name = clean.pop() if clean else self._create(template)
        self._copies[name] = template
        return self._variables(name, instance)

    def drop(self, database: Variables) -> None:
        """Clean a copy for reuse if its tables are unchanged; drop any other database."""
        name = _name(database)
        template = self._copies.pop(name, None)
        if template is not None:
            with self._server.connect(name) as connection:
                if self._contents[template].restore(connection):
                    self._clean[template].append(name)
                    return
        self._server.drop_database(name)

    def unavailable(self, instance: Path) -> Variables:
        """Return a URL with a port that nothing listens on."""
        url = f"postgresql://postgres@127.0.0.1:{free_port()}/nowhere"
        return {"APIDEVICES_INSTANCE": str(instance), "DATABASE_URL": url}

    def _create(self, template: str) -> str:
        name = f"test_{uuid4().hex}"
        self._server.create_database(name, template)
        return name

    def _variables(self, name: str, instance: Path) -> Variables:
        return {"APIDEVICES_INSTANCE": str(instance), "DATABASE_URL": self._server.url(name)}


class Contents:
    """The rows of a database, to restore its copies."""

    _SCHEMA = """
        SELECT string_agg(concat_ws(' ', relname, attname, atttypid), ',' ORDER BY relname, attname)
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace
    """
    _TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    _DISCONNECT_OTHERS = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
    """
    _SEQUENCES = """
        SELECT format('SELECT setval(%L, %s, %L)', sequencename,
                      coalesce(last_value, 1), last_value IS NOT NULL)
        FROM pg_sequences
    """

    def __init__(self, connection: Connection) -> None:
        self._schema = connection.execute(self._SCHEMA).fetchone()
        self._sequences = [row[0] for row in connection.execute(self._SEQUENCES)]
        self._rows: dict[str, bytes] = {}
        for (table,) in connection.execute(self._TABLES).fetchall():
            query = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))
            with connection.cursor().copy(query) as rows:
                self._rows[table] = b"".join(rows)

    def restore(self, connection: Connection) -> bool:
        """Restore the original rows of a copy; return False if its tables have changed."""
        connection.execute(self._DISCONNECT_OTHERS)
        if connection.execute(self._SCHEMA).fetchone() != self._schema:
            return False
        with connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            for table, rows in self._rows.items():
                name = sql.Identifier(table)
                connection.execute(sql.SQL("DELETE FROM {}").format(name))
                if rows:
                    with connection.cursor().copy(
                        sql.SQL("COPY {} FROM STDIN").format(name)
                    ) as copy:
                        copy.write(rows)
            for sequence in self._sequences:
                connection.execute(sequence)
        return True


def _name(database: Variables) -> str:
    return database["DATABASE_URL"].rpartition("/")[2]
