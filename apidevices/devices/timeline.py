"""What has happened to a device: its history, when it first used each token, and denied requests.

The history is stored in the order of its ids. The first use of a token and the denied requests of a
day are not entries of the history: they are read from their own tables, and merged by time.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, Self, get_args

from sqlalchemy import ColumnElement, literal, or_, select, tuple_
from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.errors import InvalidInput
from apidevices.listing import PAGE_SIZE
from apidevices.models import (
    ApiToken,
    Device,
    DeviceDenials,
    DeviceHistory,
    DeviceToken,
    UTCDateTime,
)

Kind = Literal[
    "registered",
    "changed",
    "renamed",
    "tagged",
    "untagged",
    "annotated",
    "blocked",
    "unblocked",
    "merged",
    "alias_removed",
    "archived",
    "unarchived",
    "token_first_used",
    "denied",
]
"""What can happen to a device."""

KINDS: Sequence[Kind] = get_args(Kind)

TOKEN_FIRST_USED: Kind = "token_first_used"  # noqa: S105 - the name of a kind
DENIED: Kind = "denied"
DERIVED = {TOKEN_FIRST_USED, DENIED}
"""The kinds whose entries are not stored in the history. Their ids are negative."""

CURSOR_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,17}\.[0-9]{1,18})?$"
"""The regular expression that the text of a cursor matches. All texts that match are valid."""

_NEWEST = 10**18 - 1
"""Higher than all ids of entries."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HistoryCursor:
    """A position in a device's history.

    The text form is ``<entry id>``, or ``<entry id>.<microseconds since 1970>.<number>``.

    Args:
        before: The entries that follow have lower ids.
        derived: The time and the number of the last entry that is not stored. None to continue
            after those since the entry ``before``.
    """

    before: int
    derived: tuple[datetime, int] | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text form.

        Raises:
            InvalidInput: The text is not a cursor.
        """
        if not re.fullmatch(CURSOR_PATTERN, text, re.ASCII):
            raise InvalidInput("cursor", "Invalid cursor. Use one from the links between pages.")
        before, *derived = map(int, text.split("."))
        if not derived:
            return cls(before)
        return cls(before, (_EPOCH + timedelta(microseconds=derived[0]), derived[1]))

    def __str__(self) -> str:
        if self.derived is None:
            return str(self.before)
        at, number = self.derived
        return f"{self.before}.{(at - _EPOCH) // timedelta(microseconds=1)}.{number}"


def history_page(
    db: Database,
    device_id: int,
    cursor: HistoryCursor | None = None,
    *,
    kinds: Collection[str] = (),
    limit: int = PAGE_SIZE,
) -> tuple[Sequence[DeviceHistory], HistoryCursor | None]:
    """Return one page of a device's history, and the cursor of the next page, if any.

    Two kinds of entries are not stored. The first use of a token has the id of the token, negative.
    A token that the device used when it was registered has none: the registration names it. The
    denied requests of a day have the time of the last one. Their id is the day, as in -20300517.

    Args:
        db: The database.
        device_id: The id of the device.
        cursor: Where the page begins; None for the newest entry.
        kinds: The kinds of entries; empty for all.
        limit: The maximum number of entries.
    """
    stored: list[DeviceHistory] = []
    derived: list[DeviceHistory] = []
    with db.read() as session:
        if not kinds or set(kinds) - DERIVED:
            stored = _stored(session, device_id, cursor, kinds, limit + 1)
        before = _start_of_derived(session, cursor) if not kinds or DERIVED & set(kinds) else None
        if before is not None and (not kinds or TOKEN_FIRST_USED in kinds):
            derived += _first_uses(session, device_id, before, limit + 1)
        if before is not None and (not kinds or DENIED in kinds):
            derived += _denials(session, device_id, before, limit + 1)
    derived.sort(key=_position, reverse=True)
    shown = _merged(stored, derived[: limit + 1])
    if len(shown) <= limit:
        return shown, None
    shown = shown[:limit]
    return shown, _cursor_after(shown, cursor)


def history(
    db: Database, device_id: int, *, kinds: Collection[str] = ()
) -> Sequence[DeviceHistory]:
    """Return a device's whole history, newest first."""
    return list(iterate_history(db, device_id, kinds=kinds))


def iterate_history(
    db: Database, device_id: int, *, kinds: Collection[str] = ()
) -> Iterator[DeviceHistory]:
    """Yield a device's whole history, newest first, some entries in memory at a time."""
    cursor = None
    while True:
        entries, cursor = history_page(db, device_id, cursor, kinds=kinds, limit=1_000)
        yield from entries
        if cursor is None:
            return


def _stored(
    session: Session,
    device_id: int,
    cursor: HistoryCursor | None,
    kinds: Collection[str],
    limit: int,
) -> list[DeviceHistory]:
    row = DeviceHistory
    query = select(row).where(row.device_id == device_id)
    if cursor is not None:
        query = query.where(row.id < cursor.before)
    if kinds:
        query = query.where(row.kind.in_(sorted(kinds)))
    return list(session.scalars(query.order_by(row.id.desc()).limit(limit)))


def _start_of_derived(
    session: Session, cursor: HistoryCursor | None
) -> tuple[datetime, int] | None:
    """Return the time and the number before which derived entries follow; None if there are none.

    The number is below all others if the entries that follow have earlier times.
    """
    if cursor is None:
        return datetime.max.replace(tzinfo=UTC), 0
    if cursor.derived is not None:
        return cursor.derived
    at = session.scalar(select(DeviceHistory.at).where(DeviceHistory.id == cursor.before))
    return None if at is None else (at, 0)  # if deleted, nobody knows which have been shown


def _first_uses(
    session: Session, device_id: int, before: tuple[datetime, int], limit: int
) -> list[DeviceHistory]:
    row = DeviceToken
    registered_at = select(Device.first_seen_at).where(Device.id == device_id).scalar_subquery()
    start = tuple_(literal(before[0], UTCDateTime()), literal(before[1]))
    query = select(row).where(
        row.device_id == device_id,
        row.first_used_at != registered_at,
        tuple_(row.first_used_at, row.token_id) < start,
    )
    query = query.order_by(row.first_used_at.desc(), row.token_id.desc()).limit(limit)
    return [
        DeviceHistory(
            id=-use.token_id,
            device_id=device_id,
            kind=TOKEN_FIRST_USED,
            at=use.first_used_at,
            changes={},
            token=use.token,
        )
        for use in session.scalars(query)
    ]


def _denials(
    session: Session, device_id: int, before: tuple[datetime, int], limit: int
) -> list[DeviceHistory]:
    row = DeviceDenials
    at, number = before
    # The last time of a group is on its day.
    is_before: ColumnElement[bool] = row.last_at < at
    if _day_number(at.date()) < number:
        is_before = or_(is_before, row.last_at == at)
    query = (
        select(row, ApiToken)
        .outerjoin(ApiToken, ApiToken.id == row.token_id)
        .where(row.device_id == device_id, is_before)
        .order_by(row.last_at.desc())
        .limit(limit)
    )
    return [
        DeviceHistory(
            id=-_day_number(group.day),
            device_id=device_id,
            kind=DENIED,
            at=group.last_at,
            changes={},
            token=token,
            address=group.address,
            details={"count": group.denied, "first_at": group.first_at},
        )
        for group, token in session.execute(query)
    ]


def _day_number(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def _position(entry: DeviceHistory) -> tuple[datetime, int]:
    """Return the time and the number by which derived entries are sorted."""
    return entry.at, -entry.id


def _merged(
    stored: Sequence[DeviceHistory], derived: Sequence[DeviceHistory]
) -> list[DeviceHistory]:
    """Merge both, without changing the order of either: times may not follow the ids."""
    merged: list[DeviceHistory] = []
    waiting = list(derived)
    for entry in stored:
        while waiting and waiting[0].at >= entry.at:
            merged.append(waiting.pop(0))
        merged.append(entry)
    return merged + waiting


def _cursor_after(shown: Sequence[DeviceHistory], cursor: HistoryCursor | None) -> HistoryCursor:
    """Return the cursor of the page that follows these entries."""
    stored = [entry.id for entry in shown if entry.kind not in DERIVED]
    derived = [_position(entry) for entry in shown if entry.kind in DERIVED]
    before = min(stored, default=cursor.before if cursor else _NEWEST)
    return HistoryCursor(before, min(derived, default=cursor.derived if cursor else None))
