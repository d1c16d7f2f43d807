"""Read the audit log: filtered, page by page or as a whole, newest entries first.

The order is that of the times; the id breaks ties. Each filter has an index with this order, so a
page takes as long with a million entries as with a hundred.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self, cast, get_args

from sqlalchemy import Select, func, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from apidevices.database import Database
from apidevices.errors import InvalidInput
from apidevices.models import MAX_ID, ApiToken, AuditEntry, Device, DeviceAlias, UTCDateTime

PAGE_SIZE = 50
"""How many entries a page has at most."""

LOADED = 1_000
"""How many entries ``iterate`` loads at a time."""

Direction = Literal["older", "newer"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LogFilters:
    """Filters of the audit log. Entries must match all of them.

    Args:
        actor: Who did it, exactly; "" for everybody.
        action: The name of the action, such as ``device.blocked``; "" for all actions.
        device: The id of the device that the entry is about; None for all entries.
        since: The earliest time.
        until: The time before which it happened.
    """

    actor: str = ""
    action: str = ""
    device: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def apply(self, query: Select[Any]) -> Select[Any]:
        """Add the conditions to a query."""
        row = AuditEntry
        # An expression, so that SQLite doesn't read all entries of a person instead of those of the
        # device: it has no statistics.
        indexed = self.device is None
        if self.actor:
            query = query.where((row.actor if indexed else row.actor.concat("")) == self.actor)
        if self.action:
            query = query.where((row.action if indexed else row.action.concat("")) == self.action)
        if self.device is not None:
            query = query.where(row.subject == f"device:{self.device}")
        if self.since is not None:
            query = query.where(row.at >= self.since)
        if self.until is not None:
            query = query.where(row.at < self.until)
        return query


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in the log, and which of the two adjacent pages to show.

    The text form is ``<direction>.<microseconds since 1970>.<id>``.
    """

    direction: Direction
    at: datetime
    entry_id: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text form.

        Raises:
            InvalidInput: The text is not a cursor.
        """
        direction, _, position = text[:64].partition(".")
        time, _, entry_id = position.partition(".")
        try:
            if not 0 <= int(entry_id) <= MAX_ID:
                raise ValueError(text)
            at = _EPOCH + timedelta(microseconds=int(time))
        except (ValueError, OverflowError):
            direction = ""
        if direction not in get_args(Direction):
            raise InvalidInput("cursor", "Invalid cursor. Use one from the links between pages.")
        return cls(cast(Direction, direction), at, int(entry_id))

    def __str__(self) -> str:
        microseconds = (self.at - _EPOCH) // timedelta(microseconds=1)
        return f"{self.direction}.{microseconds}.{self.entry_id}"


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page of the log, newest entry first, with the cursors of the adjacent pages, if any."""

    entries: Sequence[AuditEntry]
    newer: Cursor | None
    older: Cursor | None


def page(db: Database, filters: LogFilters, cursor: Cursor | None = None) -> LogPage:
    """Return a page of the log. A page of newer entries that would not be full is the first one."""
    if cursor is not None and cursor.direction == "newer":
        found = _load(db, filters, cursor, PAGE_SIZE + 1)
        if len(found) > PAGE_SIZE:
            return _page(found[:PAGE_SIZE][::-1], has_newer=True, has_older=True)
        cursor = None
    found = _load(db, filters, cursor, PAGE_SIZE + 1)
    has_older = len(found) > PAGE_SIZE
    return _page(found[:PAGE_SIZE], has_newer=cursor is not None, has_older=has_older)


def latest(db: Database, limit: int, filters: LogFilters = LogFilters()) -> Sequence[AuditEntry]:
    """Return the latest entries, newest first."""
    return _load(db, filters, None, limit)


def iterate(db: Database, filters: LogFilters) -> Iterator[AuditEntry]:
    """Yield all entries that match the filters, newest first, some of them in memory at a time."""
    cursor = None
    while entries := _load(db, filters, cursor, LOADED):
        yield from entries
        cursor = Cursor("older", entries[-1].at, entries[-1].id)


def actors(db: Database, limit: int) -> Sequence[str]:
    """Return everybody who is in the log, in order, at most ``limit``."""
    return _distinct(db, AuditEntry.actor, limit)


def actions(db: Database, limit: int) -> Sequence[str]:
    """Return the names of all actions in the log, in order, at most ``limit``."""
    return _distinct(db, AuditEntry.action, limit)


def names(db: Database, entries: Iterable[AuditEntry]) -> dict[str, str]:
    """Return the subjects of entries with their names, as far as the names are known.

    Devices and tokens have their present name, saved views the name in their newest entry. Devices
    that were merged into others have their identifier. Accounts have the address in it: only the
    application knows their table. Causes two queries for all devices, and one for all tokens.
    """
    found: dict[str, str] = {}
    ids: dict[str, list[int]] = {"device": [], "token": []}
    for entry in entries:
        kind, _, number = entry.subject.partition(":")
        if kind in ids and number.isdecimal():
            ids[kind].append(int(number))
        elif entry.subject in found:
            continue
        elif kind == "view" and "name" in entry.details:
            found[entry.subject] = str(entry.details["name"])
        elif "email" in entry.details:
            found[entry.subject] = str(entry.details["email"])
    with db.read() as session:
        if ids["device"]:
            name = func.coalesce(Device.name, Device.identifier)
            devices = select(Device.id, name).where(Device.id.in_(db.id_list(ids["device"])))
            found |= {f"device:{key}": text for key, text in session.execute(devices)}
            alias = DeviceAlias
            merged = select(alias.former_id, alias.identifier)
            merged = merged.where(alias.former_id.in_(db.id_list(ids["device"])))
            found |= {f"device:{key}": text for key, text in session.execute(merged)}
        if ids["token"]:
            tokens = select(ApiToken.id, ApiToken.name)
            tokens = tokens.where(ApiToken.id.in_(db.id_list(ids["token"])))
            found |= {f"token:{key}": text for key, text in session.execute(tokens)}
    return found


def _page(shown: Sequence[AuditEntry], *, has_newer: bool, has_older: bool) -> LogPage:
    newer = Cursor("newer", shown[0].at, shown[0].id) if shown and has_newer else None
    older = Cursor("older", shown[-1].at, shown[-1].id) if has_older else None
    return LogPage(shown, newer, older)


def _load(
    db: Database, filters: LogFilters, cursor: Cursor | None, limit: int
) -> Sequence[AuditEntry]:
    """Return the entries that follow a cursor, in its direction."""
    row = AuditEntry
    query = filters.apply(select(row))
    is_newer = cursor is not None and cursor.direction == "newer"
    if cursor is not None:
        position = tuple_(row.at, row.id)
        start = tuple_(literal(cursor.at, UTCDateTime()), literal(cursor.entry_id))
        query = query.where(position > start if is_newer else position < start)
    order = (row.at, row.id) if is_newer else (row.at.desc(), row.id.desc())
    with db.read() as session:
        return session.scalars(query.order_by(*order).limit(limit)).all()


def _distinct(db: Database, column: InstrumentedAttribute[str], limit: int) -> Sequence[str]:
    """Return the distinct values of a column, with one step in its index for each of them."""
    value = column.expression
    found = select(func.min(value).label("value")).cte("found", recursive=True)
    following = select(func.min(value)).where(value > found.c.value).scalar_subquery()
    found = found.union_all(select(following).where(found.c.value.is_not(None)))
    query = select(found.c.value).where(found.c.value.is_not(None)).limit(limit)
    with db.read() as session:
        return session.scalars(query).all()
