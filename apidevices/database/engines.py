"""Engines: the host's own, prepared for this package, or a new one for a URL."""

from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from apidevices.database import postgresql, sqlite
from apidevices.database.files import sqlite_file
from apidevices.errors import ConfigError

_POOL_SIZE = 10
"""Connections that an engine of our own keeps open; it opens more while it needs them."""


def engine_options(url: URL, threads: int) -> dict[str, Any]:
    """Return the arguments of ``create_engine`` for a server with this many threads."""
    options = {
        "hide_parameters": True,  # keeps secrets out of logged errors
        "pool_size": threads,
        # A page uses one connection for the signed-in user and one for what it shows.
        "max_overflow": threads + 2,
    }
    if url.get_backend_name() == "sqlite":
        return options | sqlite.engine_options()
    return options | postgresql.engine_options(url)


def engine_for(source: Engine | URL | str) -> Engine:
    """Return the engine to use: the one given, or one of our own for a URL.

    A PostgreSQL engine with another driver than psycopg gets one of our own beside it.

    Raises:
        ConfigError: the database is neither SQLite nor PostgreSQL.
    """
    if isinstance(source, Engine):
        if source.dialect.name == "sqlite" or source.dialect.driver == postgresql.DRIVER:
            # Another listener may leave a transaction open, which would hide later commits.
            event.listen(source, "connect", lambda connection, _record: connection.rollback())
            return source
        source = source.url
    try:
        url = make_url(source)
    except ArgumentError:
        raise ConfigError("db: this is not a database URL") from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ConfigError(f"db: the database is SQLite or PostgreSQL, not {backend}")
    if backend == "sqlite" and sqlite_file(url) is None:
        raise ConfigError("db: threads can't share an in-memory database; name a file")
    if backend == "postgresql":
        # Named, because plain "postgresql://" means psycopg 2 to SQLAlchemy 2.0.
        url = url.set(drivername=f"postgresql+{postgresql.DRIVER}")
    engine = create_engine(url, **engine_options(url, _POOL_SIZE))
    prepare(engine)
    return engine


def prepare(engine: Engine) -> None:
    """Make each connection of an engine durable and fast, and give its writes a timeout."""
    backend = sqlite if engine.dialect.name == "sqlite" else postgresql
    statements = backend.connect_statements()

    def on_connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        connection.commit()  # a rollback would undo the settings

    event.listen(engine, "connect", on_connect)
