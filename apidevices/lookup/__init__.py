"""Look up a request's token and device in one query, directly through the database driver.

Every tracked request runs this query. It bypasses the ORM and SQLAlchemy's execution layer, which
would take longer than the rest of the check. The statement is compiled once and runs on driver
connections in autocommit mode, which keep it prepared. Each call sees all data committed so far.
"""

from sqlalchemy import Engine

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


def make_lookup(engine: Engine, *, tokens: bool) -> Lookup:
    """Return a lookup for an engine: of tokens and devices, or only of devices."""
    lookup = SqliteLookup if engine.dialect.name == "sqlite" else PostgresLookup
    return lookup(engine, tokens=tokens)
