"""The interface for everything that SQLite and PostgreSQL do differently."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Connection, Dialect, Engine, FromClause, Select, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

Value = str | int | None
"""A value in a row of a bulk statement. Times are text: see ``Backend.time_text``."""

LOCK_TIMEOUT = 3.0
"""Seconds that a write waits for other writes before it fails. A longer wait would tie up threads
that could serve reads."""


class Backend(ABC):
    """The database-specific operations of one engine."""

    begin_snapshot: ClassVar[str]
    """The SQL that begins a transaction whose reads all see one snapshot."""

    bulk_dialect: Dialect
    """The dialect that compiles bulk statements; its parameters are named."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")

    @abstractmethod
    def write(self, timeout: float | None, exclusive: bool) -> AbstractContextManager[Session]:
        """Open a session in a transaction: see ``Database.write``."""

    @abstractmethod
    def make_exclusive(self, session: Session) -> None:
        """Make a write exclusive after it has begun: see ``Database.make_exclusive``."""

    @abstractmethod
    def lock(self, connection: Connection, key: Any, ids: Collection[int]) -> None:
        """Lock rows: see ``Database.lock``."""

    @abstractmethod
    def id_list(self, ids: Collection[int]) -> Select[Any]:
        """Return a query for these ids: see ``Database.id_list``."""

    @abstractmethod
    def insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        """Return an INSERT that supports ``ON CONFLICT``."""

    @abstractmethod
    def now(self, ahead: timedelta = timedelta()) -> ColumnElement[Any]:
        """Return the SQL expression for the time of the database's clock, plus a duration."""

    @abstractmethod
    def time_text(self, moment: datetime) -> str:
        """Format a time for a bulk statement: in UTC, as text that sorts chronologically."""

    @abstractmethod
    def bulk_table(self, columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
        """Return the table expression ``new``, from which a bulk statement reads its rows."""

    @abstractmethod
    def bulk_parameters(
        self, names: Sequence[str], rows: Sequence[Sequence[Value]]
    ) -> dict[str, str]:
        """Return the statement parameters that carry the rows."""

    @abstractmethod
    def reads_hold_up_writes(self, session: Session) -> bool:
        """Return whether writes wait until a transaction that reads has ended."""

    @abstractmethod
    def run_calmly(self, session: Session) -> None:
        """Run the queries of this transaction on one core, without preparations that cost time."""

    def after_fork(self) -> None:
        """Drop connections and locks inherited from the parent process."""
        self.engine.dispose(close=False)


def milliseconds(seconds: float) -> int:
    """Convert seconds to whole milliseconds, at least 0."""
    return max(0, round(seconds * 1000))
