"""Distinguish an unavailable database from a faulty query."""

from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_UNAVAILABLE_SQLSTATES = (
    "25006",  # read_only_sql_transaction: the server has become a standby
    "42P01",  # undefined_table: not migrated yet
)


def is_unavailable(error: Exception) -> bool:
    """Return whether an error means that the database is unavailable, not that a query is wrong."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return True
    if type(error) is DatabaseError:  # exactly this class: the SQLite file is damaged
        return True
    if not isinstance(error, DBAPIError):
        return False
    return (
        error.connection_invalidated
        or getattr(error.orig, "sqlstate", None) in _UNAVAILABLE_SQLSTATES
    )
