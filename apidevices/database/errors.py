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

_MISSING_TABLE_SQLSTATES = ("42P01", "42703")  # undefined_table, undefined_column

_UNAVAILABLE_SQLSTATES = (
    "25006",  # read_only_sql_transaction: the server has become a standby
    *_MISSING_TABLE_SQLSTATES,  # not migrated yet
)

# Primary result codes of SQLite, from sqlite.org/rescode.html.
_PERM, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = 3, 8, 10, 11, 13, 14, 26

_OUT_OF_SPACE = (
    _FULL,
    _IOERR,  # a quota is reported as this
    _CANTOPEN,  # there is no space for shared memory
)
_STORAGE = (*_OUT_OF_SPACE, _PERM, _READONLY, _CORRUPT, _NOTADB)
_DISK_FULL = "53100"
_STORAGE_SQLSTATES = (
    "25006",  # read_only_sql_transaction
    "53",  # insufficient resources: disk_full, out_of_memory, too_many_connections
    "58",  # system error: io_error
    "XX",  # internal error: data_corrupted
)


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


def lacks_tables(error: SQLAlchemyError) -> bool:
    """Return whether an error means that tables or columns are missing: not migrated yet."""
    reason = getattr(error, "orig", None) or error
    return getattr(reason, "sqlstate", None) in _MISSING_TABLE_SQLSTATES or str(reason).startswith(
        ("no such table", "no such column")
    )


def may_be_out_of_space(error: BaseException) -> bool:
    """Return whether a write may have failed because the disk or a quota is full."""
    if not isinstance(error, DBAPIError):
        return False
    return _sqlite_code(error) in _OUT_OF_SPACE or _sqlstate(error) == _DISK_FULL


def storage_failure(error: BaseException) -> str | None:
    """Return why the database could not store anything; None if it could have."""
    if not isinstance(error, DBAPIError):
        return None
    if _sqlite_code(error) in _STORAGE or _sqlstate(error).startswith(_STORAGE_SQLSTATES):
        return str(error.orig).partition("\n")[0]
    return None


def log_unavailable(logger: logging.Logger, error: Exception) -> None:
    """Log that the database is unavailable, unless that has been logged when it began."""
    if not any(isinstance(each, DatabaseUnavailable) for each in (error, error.__cause__)):
        logger.error("The database is unavailable: %s", error)


def _sqlite_code(error: BaseException) -> int | None:
    """Return SQLite's primary result code."""
    code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""
