"""Engines: adopt the host application's engine, or create one for a URL."""

from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from apidevices.database import postgresql, sqlite
from apidevices.database.files import sqlite_file
from apidevices.errors import ConfigError

_POOL_SIZE = 10
"""Connections that an engine created for a URL keeps open; it opens more under load."""


def engine_options(url: URL, threads: int) -> dict[str, Any]:
    """Return the ``create_engine`` arguments for a server with this many threads."""
    options = {
        "hide_parameters": True,  # keeps secrets out of logged errors
        "pool_size": threads,
        # A page uses one connection for the signed-in user and one for its content.
        "max_overflow": threads + 2,
    }
    if url.get_backend_name() == "sqlite":
        return options | sqlite.engine_options()
    return options | postgresql.engine_options(url)


def engine_for(source: Engine | URL | str) -> Engine:
    """Return the given engine, or create one for a URL.

    If a PostgreSQL engine uses a driver other than psycopg, create a second engine for its URL.

    Raises:
        ConfigError: The URL is invalid, or its database is not supported.
    """
    if isinstance(source, Engine):
        if source.dialect.name == "sqlite" or source.dialect.driver == postgresql.DRIVER:
            # Another listener may leave a transaction open. Its snapshot would hide later commits.
            event.listen(source, "connect", lambda connection, _record: connection.rollback())
            return source
        source = source.url
    try:
        url = make_url(source)
    except ArgumentError:
        raise ConfigError(
            "db: not a database URL. Use one like 'sqlite:///devices.sqlite3'."
        ) from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ConfigError(f"db: {backend} is not supported. Use SQLite or PostgreSQL.")
    if backend == "sqlite" and sqlite_file(url) is None:
        raise ConfigError("db: threads can't share an in-memory database. Use a file.")
    if backend == "postgresql":
        # SQLAlchemy 2.0 interprets plain "postgresql://" as psycopg 2.
        url = url.set(drivername=f"postgresql+{postgresql.DRIVER}")
    engine = create_engine(url, **engine_options(url, _POOL_SIZE))
    prepare(engine)
    return engine


def prepare(engine: Engine) -> None:
    """Configure every new connection of an engine: durable, fast, with a lock timeout."""
    backend = sqlite if engine.dialect.name == "sqlite" else postgresql
    event.listen(engine, "connect", backend.on_connect)
