"""The one read of a tracked request: token and device, straight through the database driver.

Every request pays for this query, so it bypasses the ORM and SQLAlchemy's execution, which would
take most of the time of the whole check. The statement is compiled once and runs on connections of
the driver, in autocommit, where the database keeps it prepared. Each call reads what is committed
at that moment.
"""

from sqlalchemy import Engine

from apidevices.lookup.base import Found, FoundDevice, FoundToken, Lookup, LookupFailed
from apidevices.lookup.postgresql import PostgresLookup
from apidevices.lookup.sqlite import SqliteLookup

__all__ = ["Found", "FoundDevice", "FoundToken", "Lookup", "LookupFailed", "make_lookup"]


def make_lookup(engine: Engine, *, tokens: bool) -> Lookup:
    """Return the lookup for an engine's database: of tokens and devices, or of devices alone."""
    lookup = SqliteLookup if engine.dialect.name == "sqlite" else PostgresLookup
    return lookup(engine, tokens=tokens)
