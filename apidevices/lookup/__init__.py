"""Look up a request's token and device in one query, directly through the database driver.

Every tracked request runs this query. It bypasses the ORM and SQLAlchemy's execution layer, which
would take longer than the rest of the check. The statement is compiled once and runs on driver
connections in autocommit mode, which keep it prepared. Each call sees all data committed so far.
"""

from apidevices.database import Database
from apidevices.lookup.asynchronous import AsyncLookup, make_async_lookup
from apidevices.lookup.base import Found, FoundDevice, FoundToken, Lookup, LookupFailed
from apidevices.lookup.postgresql import PostgresLookup
from apidevices.lookup.sqlite import SqliteLookup

__all__ = [
    "AsyncLookup",
    "Found",
    "FoundDevice",
    "FoundToken",
    "Lookup",
    "LookupFailed",
    "make_async_lookup",
    "make_lookup",
]


def make_lookup(db: Database, *, tokens: bool) -> Lookup:
    """Return a lookup for a database: of tokens and devices, or only of devices."""
    if db.engine.dialect.name == "sqlite":
        return SqliteLookup(db.engine, tokens=tokens, file=db.file)
    return PostgresLookup(db.engine, tokens=tokens)
