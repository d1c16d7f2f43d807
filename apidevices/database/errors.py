"""Distinguish an unavailable database from a faulty query."""

import logging

from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_UNAVAILABLE_SQLSTATES = (
    "25006",  # read_only_sql_transaction: the server has become a standby
    "42P01",  # undefined_table: not migrated yet
)
_LOCK_NOT_AVAILABLE = "55P03"

# Primary result codes of SQLite. Quotas and shared memory that can't grow are reported as errors of
# the second and third kind.
_SQLITE_BUSY, _SQLITE_LOCKED = 5, 6
_SQLITE_IOERR, _SQLITE_FULL, _SQLITE_CANTOPEN = 10, 13, 14


class DatabaseUnavailable(SQLAlchemyError):
    """API Devices refuses to use the database. The reason is logged once, when it begins."""


def is_unavailable(error: Exception) -> bool:
    """Return whether an error means that the database is unavailable, not that a query is wrong."""
    if isinstance(
        error, OperationalError | InterfaceError | PoolTimeoutError | DatabaseUnavailable
    ):
        return True
    if type(error) is DatabaseError:  # exactly this class: the SQLite file is damaged
        return True
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or _sqlstate(error) in _UNAVAILABLE_SQLSTATES


def may_be_out_of_space(error: BaseException) -> bool:
    """Return whether SQLite may have failed because the disk or a quota is full."""
    return _sqlite_code(error) in (_SQLITE_IOERR, _SQLITE_FULL, _SQLITE_CANTOPEN)


def write_failure(error: BaseException) -> str | None:
    """Return why the database could not store anything; None if it could have.

    A write that waited too long for others, a lost connection and a faulty statement don't count.
    """
    if not isinstance(error, DBAPIError) or not is_unavailable(error):
        return None
    if error.connection_invalidated or _sqlite_code(error) in (_SQLITE_BUSY, _SQLITE_LOCKED):
        return None
    if _sqlite_code(error) is None and _sqlstate(error) in (None, _LOCK_NOT_AVAILABLE):
        return None
    return str(error.orig).splitlines()[0]


def log_unavailable(logger: logging.Logger, error: Exception) -> None:
    """Log that the database is unavailable, unless that has been logged when it began."""
    if not any(isinstance(each, DatabaseUnavailable) for each in (error, error.__cause__)):
        logger.error("The database is unavailable: %s", error)


def _sqlite_code(error: BaseException) -> int | None:
    """Return SQLite's primary result code."""
    code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
