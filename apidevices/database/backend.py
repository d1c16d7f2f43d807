"""What SQLite and PostgreSQL do differently, as one interface."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Connection, Dialect, Engine, FromClause, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

Value = datetime | int | None
"""A value in a row of a bulk statement."""

LOCK_TIMEOUT = 3.0
"""Seconds that a write waits for other writes. A thread that waited longer would be missing for
requests that only read."""


class Backend(ABC):
    """One engine's database, with everything that depends on which database it is."""

    begin_snapshot: ClassVar[str]
    """Begins a transaction that only reads and sees one state of the database."""

    bulk_dialect: Dialect
    """Compiles bulk statements to SQL that takes its parameters by name."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")

    @abstractmethod
    def write(self, timeout: float | None, exclusive: bool) -> AbstractContextManager[Session]:
        """Open a session in a transaction; see ``Database.write``."""

    @abstractmethod
    def lock(self, connection: Connection, key: Any, ids: Collection[int]) -> None:
        """Lock rows; see ``Database.lock``."""

    @abstractmethod
    def insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        """Return an INSERT that supports ``ON CONFLICT``."""

    @abstractmethod
    def bulk_table(self, columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
        """Return the table ``new`` that a bulk statement reads its rows from."""

    @abstractmethod
    def bulk_parameters(
        self, names: Sequence[str], rows: Sequence[Sequence[Value]]
    ) -> dict[str, str]:
        """Return the parameters that fill this table."""

    def after_fork(self) -> None:
        """Drop what belongs to the parent process."""
        self.engine.dispose(close=False)


def milliseconds(seconds: float) -> int:
    """Convert seconds to whole milliseconds, 0 at least."""
    return max(0, round(seconds * 1000))
