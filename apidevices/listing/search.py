"""Which devices have a text in their name or identifier, by an index of short substrings.

SQLite has FTS5's trigrams, and their vocabulary for one or two characters. PostgreSQL has a GIN
index of all substrings of one to three characters, made by a function of our own: ``pg_trgm``
knows letters and digits only, none outside ASCII in a database with the locale C, and can't help
with fewer than three characters. Both are kept up by the database itself, in the transaction that
writes ``search_key``.
"""

import unicodedata
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    bindparam,
    column,
    func,
    literal,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import ARRAY

from apidevices.models import PREFIX, Device

GRAM = 3
"""Characters of the longest substring in an index."""

_LAST_CHARACTER = chr(0x10FFFF)

# The full-text index of SQLite, and its list of (term, row): see the migration that makes them.
_INDEX = table(f"{PREFIX}device_search", column("rowid", Integer), column("key", Text))
_TERMS = table(f"{PREFIX}device_search_terms", column("term", Text), column("doc", Integer))


def fold(text: str) -> str:
    """Return text as it is searched: case and compatibility forms folded, in any alphabet."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def search_key(identifier: str, name: str | None) -> str:
    """Return what the search looks in; the line break is in no text that is looked for."""
    return fold(f"{name}\n{identifier}" if name else identifier)


def contains(dialect: str, text: str, key: Any) -> ColumnElement[bool]:
    """Tell of each device that is looked at anyway whether its ``search_key`` has a folded text."""
    find = func.instr if dialect == "sqlite" else func.strpos
    return find(key, text) > 0


def by_index(dialect: str, text: str) -> Select[Any]:
    """Return the query for the ids of all devices that have a folded text."""
    return _by_fts5(text) if dialect == "sqlite" else _by_grams(text)


def _by_fts5(text: str) -> Select[Any]:
    if len(text) < GRAM:
        # Keys are indexed with two line breaks at their end, so that each of their characters
        # begins a term.
        end = literal(text + _LAST_CHARACTER)
        return select(_TERMS.c.doc.label("id")).distinct().where(_TERMS.c.term.between(text, end))
    phrase = '"' + text.replace('"', '""') + '"'
    return select(_INDEX.c.rowid.label("id")).where(_INDEX.c.key.match(phrase))


def _by_grams(text: str) -> Select[Any]:
    grams = bindparam(None, _grams(text), ARRAY(Text))
    found = func.apidevices_grams(Device.search_key, type_=ARRAY(Text)).contains(grams)
    query = select(Device.id.label("id")).where(found)
    return (
        query.where(contains("postgresql", text, Device.search_key)) if len(text) > GRAM else query
    )


def _grams(text: str) -> list[str]:
    if len(text) <= GRAM:
        return [text]
    return [text[start : start + GRAM] for start in range(len(text) - GRAM + 1)]
