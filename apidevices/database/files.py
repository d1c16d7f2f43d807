"""The file of a SQLite database."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL


def sqlite_file(url: URL) -> Path | None:
    """Return the file of a SQLite database; None for an in-memory database or a database server."""
    path = url.database
    if url.get_backend_name() != "sqlite" or not path or url.query.get("mode") == "memory":
        return None
    if url.query.get("uri") and path.startswith("file:"):
        path = unquote(urlsplit(path).path)
    return None if path in ("", ":memory:") else Path(path)
