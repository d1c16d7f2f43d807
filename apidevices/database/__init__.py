"""Access to the database: sessions, bulk statements and engines, the same on both databases.

What differs between SQLite and PostgreSQL is in ``sqlite.py`` and ``postgresql.py``, each of which
implements ``backend.Backend``. The index behind the search differs too: see ``listing.search``.
"""

from apidevices.database.backend import LOCK_TIMEOUT
from apidevices.database.bulk import BulkStatement
from apidevices.database.database import Database
from apidevices.database.engines import engine_for, engine_options, prepare
from apidevices.database.errors import is_unavailable
from apidevices.database.sqlite import sqlite_module, sqlite_time, sqlite_warning

__all__ = [
    "LOCK_TIMEOUT",
    "BulkStatement",
    "Database",
    "engine_for",
    "engine_options",
    "is_unavailable",
    "prepare",
    "sqlite_module",
    "sqlite_time",
    "sqlite_warning",
]
