"""Statements that write many rows in one round trip."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, UpdateBase
from sqlalchemy.types import TypeEngine

from apidevices.database.backend import Value
from apidevices.database.database import Database


class BulkStatement:
    """A statement that processes many rows in one round trip.

    SQLite receives all rows as one JSON string, PostgreSQL receives one array per column. Either
    way it is a single driver call. One call per row (``executemany``) would make the background
    thread compete with request threads for the GIL on every row.

    Args:
        db: The database to run on.
        build: Builds the statement from the columns of the table expression ``new``.
        columns: The type of each column; times, numbers and texts are supported.
    """

    def __init__(
        self, db: Database, build: Callable[[Any], UpdateBase], **columns: TypeEngine[Any]
    ) -> None:
        self._backend = db.backend
        self._names = list(columns)
        statement = build(self._backend.bulk_table(columns).c)
        self._sql = str(statement.compile(dialect=self._backend.bulk_dialect))

    def run(self, connection: Connection, rows: Sequence[Sequence[Value]]) -> int:
        """Run the statement for these rows; return how many rows of the table it has written.

        The values of each row must be in the order of the columns.
        """
        if not rows:
            return 0
        parameters = self._backend.bulk_parameters(self._names, rows)
        return connection.exec_driver_sql(self._sql, parameters).rowcount
