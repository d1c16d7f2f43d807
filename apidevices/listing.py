"""The list of devices: filters, pages and counts, as quick at a million devices as at a hundred."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, Self

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session, contains_eager

from apidevices import search
from apidevices.database import Database
from apidevices.identity import clean_text
from apidevices.models import MAX_ID, Device, DeviceActivity, Moment

PAGE_SIZE = 50
"""Devices on a page of the list, and entries on a page of a history."""

COUNT_LIMIT = 10_000
"""A count stops here: an administrator needs "many" fast rather than a number late."""

NEARBY = 150
"""Devices that are looked at before an index is asked for a text: of a text that a third of them
has, they fill a page."""

Status = Literal["all", "active", "blocked"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_activity = DeviceActivity.__table__.c

# Each condition has a partial index, in the order of the list.
_STATUSES: Mapping[Status, Sequence[ColumnElement[bool]]] = {
    "all": (~_activity.blocked, _activity.blocked),
    "active": (~_activity.blocked,),
    "blocked": (_activity.blocked,),
}


class InvalidCursor(ValueError):
    """A cursor that no page has given out."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What the list is narrowed to: part of a name or identifier, and the blocked status."""

    name: str = ""
    status: Status = "all"

    def __bool__(self) -> bool:
        """Tell whether anything is narrowed."""
        return bool(self.name) or self.status != "all"

    @property
    def text(self) -> str:
        """The part of a name or identifier as it is searched."""
        return search.fold(clean_text(self.name))


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list: the page that starts behind (or ends before) this device.

    Written as ``older-<microseconds since 1970>-<id>``.
    """

    direction: Literal["older", "newer"]
    moment: datetime
    device_id: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a cursor.

        Raises:
            InvalidCursor: it isn't one.
        """
        try:
            direction, microseconds, device_id = text.split("-")
            moment = _EPOCH + timedelta(microseconds=int(microseconds))
            if direction not in ("older", "newer") or not 0 <= int(device_id) <= MAX_ID:
                raise ValueError(text)
        except (ValueError, OverflowError):
            raise InvalidCursor("This cursor is not one that a page has given out.") from None
        return cls("older" if direction == "older" else "newer", moment, int(device_id))

    @classmethod
    def at(cls, direction: Literal["older", "newer"], device: Device) -> Self:
        """Return the place of a device."""
        return cls(direction, device.activity.last_activity_at, device.id)

    def __str__(self) -> str:
        microseconds = (self.moment - _EPOCH) // timedelta(microseconds=1)
        return f"{self.direction}-{microseconds}-{self.device_id}"


class Count(NamedTuple):
    """How many devices the filters leave: just so many, or at least."""

    number: int
    exact: bool

    def __str__(self) -> str:
        return f"{self.number:,}" if self.exact else f"{self.number:,}+"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list, newest first, and the cursors of its neighbours where there are any."""

    devices: Sequence[Device]
    count: Count
    newer: Cursor | None
    older: Cursor | None


def page(db: Database, filters: Filters, cursor: Cursor | None = None) -> Page:
    """Return a page of the list: most recently active first, ``id`` breaks ties."""
    with db.read() as session:
        found, count = _Finder(session, filters, cursor).page()
        if cursor is not None and cursor.direction == "newer":
            if len(found) > PAGE_SIZE:
                shown = found[:PAGE_SIZE][::-1]
                newer, older = Cursor.at("newer", shown[0]), Cursor.at("older", shown[-1])
                return Page(shown, count, newer, older)
            cursor = None  # nothing newer is left over: that is the first page
            found, count = _Finder(session, filters, cursor).page()
    shown = found[:PAGE_SIZE]
    return Page(
        shown,
        count,
        newer=Cursor.at("newer", shown[0]) if cursor and shown else None,
        older=Cursor.at("older", shown[-1]) if len(found) > PAGE_SIZE else None,
    )


def every(db: Database, filters: Filters) -> Sequence[Device]:
    """Return all devices that the filters leave, most recently active first."""
    with db.read() as session:
        return _Finder(session, filters, None).walk(limit=None)


class _Finder:
    """Finds devices in the order of the list, from a cursor on."""

    def __init__(self, session: Session, filters: Filters, cursor: Cursor | None) -> None:
        self._session = session
        self._dialect = session.get_bind().dialect.name
        self._statuses = _STATUSES[filters.status]
        self._text = filters.text
        self._has_text = [search.contains(self._dialect, self._text)] if self._text else []
        self._cursor = cursor

    def page(self) -> tuple[Sequence[Device], Count]:
        """Return the devices of a page and one more, and how many there are in all."""
        if not self._text:
            return self.walk(), self._count()
        found = self._nearby()
        if len(found) > PAGE_SIZE:  # a common text: the index would name most devices there are
            matches = select(Device.id).where(*self._has_text)
            with_text, in_status, _ = self._sorted(matches, limit=0)
        else:
            matches = search.by_index(self._dialect, self._text)
            with_text, in_status, found = self._sorted(matches, limit=PAGE_SIZE + 1)
            if with_text > COUNT_LIMIT:
                found = self.walk()
        if with_text <= COUNT_LIMIT:
            return found, Count(in_status, exact=True)
        least = COUNT_LIMIT if len(self._statuses) > 1 else min(len(found), PAGE_SIZE)
        return found, Count(least, exact=False)

    def walk(self, limit: int | None = PAGE_SIZE + 1) -> Sequence[Device]:
        """Go through the list until so many are found, or all: quick where many match."""
        places = self._places(limit, self._has_text)
        return self._session.scalars(
            self._devices(select(Device).select_from(places), places)
        ).all()

    def _nearby(self) -> Sequence[Device]:
        """Find a page of devices among the next few of the list, if so many of them match."""
        places = self._places(NEARBY)
        query = self._devices(select(Device).select_from(places), places).where(*self._has_text)
        return self._session.scalars(query.limit(PAGE_SIZE + 1)).all()

    def _count(self) -> Count:
        query = select(_activity.device_id).where(or_(*self._statuses)).limit(COUNT_LIMIT + 1)
        number = self._session.scalar(select(func.count()).select_from(query.subquery())) or 0
        return Count(min(number, COUNT_LIMIT), exact=number <= COUNT_LIMIT)

    def _sorted(self, matches: Select[Any], limit: int) -> tuple[int, int, Sequence[Device]]:
        """Sort the devices that match: quick where few do.

        Returns:
            How many match, ``COUNT_LIMIT + 1`` at most; how many of these have the status; and if
            these are all, the first of them.
        """
        found = matches.limit(COUNT_LIMIT + 1).cte("matches").prefix_with("MATERIALIZED")
        number = select(func.count()).select_from(found).scalar_subquery()
        in_status = (
            _ids_and_times()
            .join(found, found.c.id == _activity.device_id)
            .where(or_(*self._statuses))
        )
        totals = select(
            number.label("matches"),
            select(func.count()).select_from(in_status.subquery()).scalar_subquery().label("left"),
        ).subquery("totals")
        places = self._in_order(in_status.where(number <= COUNT_LIMIT), _activity).limit(limit)
        first = places.subquery("places")
        query = self._devices(
            select(totals, Device).outerjoin_from(totals, first, true()), first, isouter=True
        )
        rows = self._session.execute(query).all()
        return rows[0].matches, rows[0].left, [row.Device for row in rows if row.Device]

    def _places(
        self, limit: int | None, conditions: Sequence[ColumnElement[bool]] = ()
    ) -> Subquery:
        """Return the query for id and time of the next devices, by the index of each status."""
        parts = []
        for in_status in self._statuses:
            part = _ids_and_times().where(in_status)
            if conditions:
                part = part.join(Device, Device.id == _activity.device_id).where(*conditions)
            parts.append(select(self._in_order(part, _activity).limit(limit).subquery()))
        both = union_all(*parts).subquery()
        return self._in_order(select(both), both.c).limit(limit).subquery("places")

    def _devices(self, query: Select[Any], places: Subquery, isouter: bool = False) -> Select[Any]:
        """Let a query return the devices at these places, in their order."""
        query = (
            query.join(Device, Device.id == places.c.device_id, isouter=isouter)
            .join(Device.activity, isouter=isouter)
            .options(contains_eager(Device.activity))
        )
        return self._in_order(query, places.c, past_cursor=True)

    def _in_order(self, query: Select[Any], of: Any, *, past_cursor: bool = False) -> Select[Any]:
        """Put a query into the order of the list, from the cursor on unless it is past it."""
        place = (of.last_activity_at, of.device_id)
        backwards = self._cursor is not None and self._cursor.direction == "newer"
        if self._cursor is not None and not past_cursor:
            here = tuple_(literal(self._cursor.moment, Moment), literal(self._cursor.device_id))
            query = query.where(tuple_(*place) > here if backwards else tuple_(*place) < here)
        return query.order_by(*(column.asc() if backwards else column.desc() for column in place))


def _ids_and_times() -> Select[Any]:
    return select(_activity.device_id, _activity.last_activity_at).select_from(DeviceActivity)
