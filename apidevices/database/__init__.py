"""Engines, sessions and bulk statements, behind one interface for SQLite and PostgreSQL.

``sqlite.py`` and ``postgresql.py`` contain what differs between the two: each implements
``backend.Backend``. The search index differs as well, see ``listing.search``.
"""

from apidevices.database.backend import LOCK_TIMEOUT
from apidevices.database.bulk import BulkStatement
from apidevices.database.database import Database
from apidevices.database.engines import engine_for, engine_options, prepare
from apidevices.database.errors import (
    DatabaseUnavailable,
    is_unavailable,
    lacks_tables,
    log_unavailable,
)
from apidevices.database.files import DatabaseFile
from apidevices.database.reserve import retried_with_reserve
from apidevices.database.sqlite import (
    check_journal_mode,
    sqlite_module,
    sqlite_time,
    sqlite_warning,
)

__all__ = [
    "LOCK_TIMEOUT",
    "BulkStatement",
    "Database",
    "DatabaseFile",
    "DatabaseUnavailable",
    "check_journal_mode",
    "engine_for",
    "engine_options",
    "is_unavailable",
    "lacks_tables",
    "log_unavailable",
    "prepare",
    "retried_with_reserve",
    "sqlite_module",
    "sqlite_time",
    "sqlite_warning",
]
