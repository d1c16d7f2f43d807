"""Search names and identifiers for a substring, using an index of short substrings.

SQLite uses FTS5 with trigrams, and the FTS5 vocabulary for search texts of one or two characters.

PostgreSQL uses a GIN index of all substrings of one to three characters, which the function
``apidevices_grams`` extracts. ``pg_trgm`` is not enough: it ignores everything except letters and
digits (with the locale C, everything outside ASCII) and needs at least three characters.

Both databases update the index in the transaction that writes ``search_key``.
"""

import re
import time
import unicodedata
from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import ARRAY

from apidevices.database import Database
from apidevices.models import PREFIX, Device

GRAM = 3
"""Length of the longest substrings in the index, in characters."""

SHORT_KEY = 255
"""Length of the longest search key in the activity indexes, in characters. It keeps the indexes
small. PostgreSQL also rejects index entries of more than 2,704 bytes."""

REMOVE_STEP = 2_000
"""How many deleted devices one transaction removes from SQLite's index. It takes as long as other
writes wait."""

REMOVE_PAUSE = 0.01
"""Seconds between these transactions, for other writes."""

SORT_KEY = 255
"""Length of the longest sort key, in characters, so that it fits into an index entry."""

_WILDCARD = re.compile(r"[\\%_]")

NEXT_DEVICE_ID = """
    SELECT max(id) + 1 FROM (
        SELECT max(id) AS id FROM apidevices_devices UNION ALL SELECT 0
        UNION ALL SELECT seq FROM sqlite_sequence WHERE name = 'apidevices_device_search_deleted'
    )
"""
"""SQLite: an id that no device has ever had. ``sqlite_sequence`` keeps the largest deleted id."""

_LAST_CHARACTER = chr(0x10FFFF)

# SQLite's full-text index and its vocabulary of (term, row id); migration 0003 creates them.
_INDEX = table(
    f"{PREFIX}device_search",
    column("rowid", Integer),
    column("key", Text),
    column(f"{PREFIX}device_search", Text),  # takes commands
)
_DELETED = table(
    f"{PREFIX}device_search_deleted", column("id", Integer), column("key", Text)
)  # migration 0010
_TERMS = table(f"{PREFIX}device_search_terms", column("term", Text), column("doc", Integer))


def fold(text: str) -> str:
    """Fold case and compatibility characters of any script, for search keys and search texts."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def search_key(identifier: str, name: str | None, aliases: Iterable[str] = ()) -> str:
    """Return the text to search in. Its line breaks never match: search texts contain none."""
    return fold("\n".join([*([name] if name else ()), identifier, *aliases]))


def short_key(key: str) -> str | None:
    """Return the search key for the activity indexes, or None if it is too long for them."""
    return key if len(key) <= SHORT_KEY else None


def sort_key(key: str) -> str:
    """Return what the list is sorted by: the folded name, or else the identifier.

    Triggers compute it in the same way (migration 0012).
    """
    return key.partition("\n")[0][:SORT_KEY]


def contains(dialect: str, text: str, key: Any) -> ColumnElement[bool]:
    """Return the condition that a search key contains a folded search text; uses no index."""
    if dialect == "sqlite":
        return func.instr(key, text) > 0
    # Faster than strpos(). The pattern is complete, so that each row only costs the comparison.
    literal_text = _WILDCARD.sub(r"\\\g<0>", text)
    return cast(ColumnElement[bool], key.like(f"%{literal_text}%"))


def matching_ids(dialect: str, text: str) -> Select[Any]:
    """Return the query for the ids of all devices that match a folded search text, by index."""
    return _matching_ids_fts5(text) if dialect == "sqlite" else _matching_ids_grams(text)


def remove_deleted(db: Database) -> None:
    """Remove deleted devices from SQLite's index, in short transactions.

    That takes ten times as long as deleting them, so a trigger only notes their keys. Until they
    are removed, the index finds ids without a device, which the list leaves out. PostgreSQL removes
    them in its own time.
    """
    if db.engine.dialect.name != "sqlite":
        return
    noted = select(_DELETED.c.id).order_by(_DELETED.c.id).limit(REMOVE_STEP)
    while True:
        with db.read() as session:
            ids = session.scalars(noted).all()
        if not ids:
            return
        with db.write() as session:
            some = _DELETED.c.id.in_(db.id_list(ids))
            session.execute(
                insert(_INDEX).from_select(
                    [_INDEX.c.apidevices_device_search, _INDEX.c.rowid, _INDEX.c.key],
                    select(literal("delete"), _DELETED.c.id, _DELETED.c.key).where(some),
                )
            )
            session.execute(delete(_DELETED).where(some))
        time.sleep(REMOVE_PAUSE)


def _matching_ids_fts5(text: str) -> Select[Any]:
    if len(text) < GRAM:
        # Keys are indexed with two trailing line breaks, so that each of their characters starts
        # a trigram.
        end = literal(text + _LAST_CHARACTER)
        return select(_TERMS.c.doc.label("id")).distinct().where(_TERMS.c.term.between(text, end))
    phrase = '"' + text.replace('"', '""') + '"'
    return select(_INDEX.c.rowid.label("id")).where(_INDEX.c.key.match(phrase))


def _matching_ids_grams(text: str) -> Select[Any]:
    grams = bindparam(None, _grams(text), ARRAY(Text))
    contains_grams = func.apidevices_grams(Device.search_key, type_=ARRAY(Text)).contains(grams)
    query = select(Device.id.label("id")).where(contains_grams)
    return (
        query.where(contains("postgresql", text, Device.search_key)) if len(text) > GRAM else query
    )


def _grams(text: str) -> list[str]:
    if len(text) <= GRAM:
        return [text]
    return [text[start : start + GRAM] for start in range(len(text) - GRAM + 1)]
