"""The list of devices: filters, pages and counts, as quick at a million devices as at a hundred."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self, TypeVar

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
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
from apidevices.errors import InvalidInput
from apidevices.identity import clean_text
from apidevices.models import MAX_ID, Device, DeviceActivity, Moment

PAGE_SIZE = 50
"""Devices on a page of the list, and entries on a page of a history."""

COUNT_LIMIT = 10_000
"""A count stops here: an administrator needs "many" fast rather than a number late."""

NEARBY = 150
"""Devices of the list that are looked at before an index is asked for a text."""

COMMON = 15
"""Of these, so many with a text are a sign that the index would name most devices there are."""

RATHER_SORTED = 5_000
"""Devices of the list that are looked through before more are sorted than are counted."""

SORTED_LIMIT = 50_000
"""Devices with a text that are sorted at most: a list of a million is looked through as fast."""

Status = Literal["all", "active", "blocked"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_activity = DeviceActivity.__table__.c

# What "blocked" may be.
_STATUSES: Mapping[Status, Sequence[bool]] = {
    "all": (False, True),
    "active": (False,),
    "blocked": (True,),
}


Ordered = TypeVar("Ordered", Select[Any], CompoundSelect[Any])


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
            InvalidInput: It is not a cursor.
        """
        try:
            direction, microseconds, device_id = text.split("-")
            moment = _EPOCH + timedelta(microseconds=int(microseconds))
            if direction not in ("older", "newer") or not 0 <= int(device_id) <= MAX_ID:
                raise ValueError(text)
        except (ValueError, OverflowError):
            raise InvalidInput("cursor", "This is not a cursor from a page of the list.") from None
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
    # A device that moves to the top between two looks must not be found twice, nor another missed.
    with db.snapshot() as session:
        found, count = _Finder(session, filters, cursor, PAGE_SIZE + 1).page()
        if cursor is not None and cursor.direction == "newer":
            if len(found) > PAGE_SIZE:
                shown = found[:PAGE_SIZE][::-1]
                newer, older = Cursor.at("newer", shown[0]), Cursor.at("older", shown[-1])
                return Page(shown, count, newer, older)
            cursor = None  # nothing newer is left over: that is the first page
            found, count = _Finder(session, filters, cursor, PAGE_SIZE + 1).page()
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
        return _Finder(session, filters, None, limit=None).among(None)


class _Finder:
    """Finds devices in the order of the list, from a cursor on."""

    def __init__(
        self, session: Session, filters: Filters, cursor: Cursor | None, limit: int | None
    ) -> None:
        self._session = session
        self._limit = limit
        self._dialect = session.get_bind().dialect.name
        self._statuses = _STATUSES[filters.status]
        self._text = filters.text
        self._has_text = (
            [search.contains(self._dialect, self._text, Device.search_key)] if self._text else []
        )
        self._cursor = cursor

    def page(self) -> tuple[Sequence[Device], Count]:
        """Return the devices of a page and one more, and how many there are in all."""
        if not self._text:
            return self.among(self._limit), self._count()
        found = self.among(NEARBY)
        is_common = len(found) >= COMMON and self._is_common()
        if not is_common:
            with_text, in_status, first = self._sorted(COUNT_LIMIT)
            if with_text <= COUNT_LIMIT:
                return first, Count(in_status, exact=True)
        found = self._further_on(found, NEARBY, RATHER_SORTED)
        if len(found) <= PAGE_SIZE and self._end > RATHER_SORTED:
            with_text, _, first = self._sorted(SORTED_LIMIT)
            if with_text <= SORTED_LIMIT:  # they are of long ago
                found = first
            else:
                found = self._further_on(found, RATHER_SORTED, self._end)
        return found, self._count_of_many(found)

    def among(self, number: int | None, skipped: int = 0) -> Sequence[Device]:
        """Find the devices of a page and one more among the next so many of the list, or all."""
        places = self._places(number, skipped)
        if self._has_text:  # decided before anything else is read of a device
            matching = select(places).join(Device, Device.id == places.c.device_id)
            matching = matching.where(*self._has_text)
            places = self._ordered(matching, places.c).limit(self._limit).subquery("matching")
        query = self._devices(select(Device).select_from(places), places)
        return self._session.scalars(query).all()

    def _further_on(self, found: Sequence[Device], looked: int, until: int) -> Sequence[Device]:
        """Look through more and more of the list, until there is a page: quick where many match.

        Args:
            found: what was found among those that were looked at.
            looked: how many were looked at.
            until: how many shall be looked at, at most.
        """
        until = min(until, self._end)
        while len(found) <= PAGE_SIZE and looked < until:
            number = min(3 * looked, until - looked)
            found = [*found, *self.among(number, looked)]
            looked += number
        return found[: self._limit]

    @cached_property
    def _end(self) -> int:
        """How many devices the list has at most."""
        if self._statuses == (True,) and self._blocked <= COUNT_LIMIT:
            return self._blocked
        return self._session.scalar(select(func.max(Device.id))) or 0

    @cached_property
    def _blocked(self) -> int:
        """How many devices are blocked, to one more than the limit."""
        return self._number(select(_activity.device_id).where(_activity.blocked))

    def _is_common(self) -> bool:
        """Tell whether more than are counted have the text, as far as that is quick to see."""
        some = select(Device.search_key).limit(10 * COUNT_LIMIT).subquery()
        with_text = search.contains(self._dialect, self._text, some.c.search_key)
        return self._number(select(some).where(with_text)) > COUNT_LIMIT

    def _count_of_many(self, found: Sequence[Device]) -> Count:
        """Count where more have the text than are counted; ``found`` are those of the page."""
        if len(self._statuses) > 1:
            return Count(COUNT_LIMIT, exact=False)
        if self._blocked > COUNT_LIMIT:
            if len(found) > PAGE_SIZE or self._cursor is not None:
                return Count(PAGE_SIZE, exact=False)
            return Count(len(found), exact=True)  # it was looked through to the end
        blocked = select(_activity.device_id).where(_activity.blocked)
        with_text = blocked.join(Device, Device.id == _activity.device_id).where(*self._has_text)
        number = self._number(with_text)
        if self._statuses[0]:
            return Count(number, exact=True)
        return Count(max(COUNT_LIMIT - number, 0), exact=False)

    def _number(self, query: Select[Any]) -> int:
        """Count rows, to one more than the limit."""
        limited = query.limit(COUNT_LIMIT + 1).subquery()
        return self._session.scalar(select(func.count()).select_from(limited)) or 0

    def _count(self) -> Count:
        either = or_(*map(_has_status, self._statuses))
        number = self._number(select(_activity.device_id).where(either))
        return Count(min(number, COUNT_LIMIT), exact=number <= COUNT_LIMIT)

    def _sorted(self, limit: int) -> tuple[int, int, Sequence[Device]]:
        """Sort the devices that the index names: quick where these are few.

        Returns:
            How many have the text, ``limit + 1`` at most; and, unless these are too many, how many
            of them have the status, and the first of those.
        """
        matches = search.by_index(self._dialect, self._text)
        found = matches.limit(limit + 1).cte("matches").prefix_with("MATERIALIZED")
        number = select(func.count()).select_from(found).scalar_subquery()
        # Kept apart from what narrows it, or a planner may start from all that have the status.
        places = (
            select(_activity.device_id, _activity.last_activity_at, _activity.blocked)
            .join(found, found.c.id == _activity.device_id)
            .where(number <= limit)
            .cte("places")
            .prefix_with("MATERIALIZED")
        )
        in_status = select(places)
        if len(self._statuses) == 1:
            in_status = in_status.where(places.c.blocked == self._statuses[0])
        totals = select(
            number.label("matches"),
            select(func.count()).select_from(in_status.subquery()).scalar_subquery().label("left"),
        ).subquery("totals")
        in_status = in_status.where(*self._from_cursor(places.c))
        first = self._ordered(in_status, places.c).limit(self._limit).subquery("first")
        query = self._devices(
            select(totals, Device).outerjoin_from(totals, first, true()), first, isouter=True
        )
        rows = self._session.execute(query).all()
        return rows[0].matches, rows[0].left, [row.Device for row in rows if row.Device]

    def _places(self, number: int | None, skipped: int) -> Subquery:
        """Return the query for id and time of the next devices, by the index of each status."""
        parts = []
        for blocked in self._statuses:
            part = select(_activity.device_id, _activity.last_activity_at).where(
                _has_status(blocked), *self._from_cursor(_activity)
            )
            # Without a limit of its own PostgreSQL would sort all of them.
            last = None if number is None else skipped + number
            parts.append(select(self._ordered(part, _activity).limit(last).subquery()))
        both = union_all(*parts)
        ordered = self._ordered(both, both.selected_columns)
        return ordered.limit(number).offset(skipped or None).subquery("places")

    def _devices(self, query: Select[Any], places: Subquery, isouter: bool = False) -> Select[Any]:
        """Let a query return the devices at these places, in their order."""
        query = (
            query.join(Device, Device.id == places.c.device_id, isouter=isouter)
            .join(Device.activity, isouter=isouter)
            .options(contains_eager(Device.activity))
        )
        return self._ordered(query, places.c)

    def _from_cursor(self, of: Any) -> Sequence[ColumnElement[bool]]:
        """Return the condition for what comes after the cursor, in its direction."""
        if self._cursor is None:
            return ()
        place = tuple_(of.last_activity_at, of.device_id)
        here = tuple_(literal(self._cursor.moment, Moment), literal(self._cursor.device_id))
        return [place > here if self._cursor.direction == "newer" else place < here]

    def _ordered(self, query: Ordered, of: Any) -> Ordered:
        """Put a query into the order of the list, or into the opposite one to go back."""
        place = (of.last_activity_at, of.device_id)
        backwards = self._cursor is not None and self._cursor.direction == "newer"
        return query.order_by(*(column.asc() if backwards else column.desc() for column in place))


def _has_status(blocked: bool) -> ColumnElement[bool]:
    """Return the condition of a partial index, each of which is in the order of the list."""
    return _activity.blocked if blocked else ~_activity.blocked
