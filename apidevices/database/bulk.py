"""Statements that write many rows in one round trip."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, UpdateBase
from sqlalchemy.types import TypeEngine

from apidevices.database.backend import Value
from apidevices.database.database import Database


class BulkStatement:
    """A statement that runs for many rows at once, in one round trip.

    SQLite gets the rows as one JSON text, PostgreSQL each column as an array. Either way it is a
    single call of the driver. With a call for each row (``executemany``), the thread that writes
    would compete with the threads that answer requests each time.

    Args:
        db: where it runs.
        build: builds the statement, given the columns of a table of the rows.
        columns: the type of each column; only times and numbers.
    """

    def __init__(
        self, db: Database, build: Callable[[Any], UpdateBase], **columns: TypeEngine[Any]
    ) -> None:
        self._backend = db.backend
        self._names = list(columns)
        statement = build(self._backend.bulk_table(columns).c)
        self._sql = str(statement.compile(dialect=self._backend.bulk_dialect))

    def run(self, connection: Connection, rows: Sequence[Sequence[Value]]) -> None:
        """Run it for these rows; each has its values in the order of the columns."""
        if rows:
            parameters = self._backend.bulk_parameters(self._names, rows)
            connection.exec_driver_sql(self._sql, parameters)
