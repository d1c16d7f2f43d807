"""What has happened to a device: its history, and when it first used each token.

The history is stored in the order of its ids. The first use of a token is not an entry of the
history: it is read from the tokens of the device, and merged by its time.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Self, get_args

from sqlalchemy import literal, select, tuple_
from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.errors import InvalidInput
from apidevices.listing import PAGE_SIZE
from apidevices.models import Device, DeviceHistory, DeviceToken, UTCDateTime

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
    "token_first_used",
]
"""What can happen to a device."""

KINDS: Sequence[Kind] = get_args(Kind)

TOKEN_FIRST_USED: Kind = "token_first_used"  # noqa: S105 - the name of a kind

CURSOR_PATTERN = r"^[0-9]{1,18}(\.[0-9]{1,17}\.[0-9]{1,18})?$"
"""The regular expression that the text of a cursor matches. All texts that match are valid."""

_NEWEST = 10**18 - 1
"""Higher than all ids of entries."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HistoryCursor:
    """A position in a device's history.

    The text form is ``<entry id>``, or ``<entry id>.<microseconds since 1970>.<token id>``.

    Args:
        before: The entries that follow have lower ids.
        token: The time and the id of the token after whose first use to continue. None to continue
            after those since the entry ``before``.
    """

    before: int
    token: tuple[datetime, int] | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text form.

        Raises:
            InvalidInput: The text is not a cursor.
        """
        if not re.fullmatch(CURSOR_PATTERN, text, re.ASCII):
            raise InvalidInput("cursor", "Invalid cursor. Use one from the links between pages.")
        before, *token = map(int, text.split("."))
        if not token:
            return cls(before)
        return cls(before, (_EPOCH + timedelta(microseconds=token[0]), token[1]))

    def __str__(self) -> str:
        if self.token is None:
            return str(self.before)
        at, token_id = self.token
        return f"{self.before}.{(at - _EPOCH) // timedelta(microseconds=1)}.{token_id}"


def history_page(
    db: Database,
    device_id: int,
    cursor: HistoryCursor | None = None,
    *,
    kinds: Collection[str] = (),
    limit: int = PAGE_SIZE,
) -> tuple[Sequence[DeviceHistory], HistoryCursor | None]:
    """Return one page of a device's history, and the cursor of the next page, if any.

    The first use of a token is an entry that is not stored; its id is that of the token, negative.
    A token that the device used when it was registered has none: the registration names it.

    Args:
        db: The database.
        device_id: The id of the device.
        cursor: Where the page begins; None for the newest entry.
        kinds: The kinds of entries; empty for all.
        limit: The maximum number of entries.
    """
    stored: list[DeviceHistory] = []
    used: list[DeviceHistory] = []
    with db.read() as session:
        if set(kinds) != {TOKEN_FIRST_USED}:
            stored = _stored(session, device_id, cursor, kinds, limit + 1)
        if not kinds or TOKEN_FIRST_USED in kinds:
            used = _first_uses(session, device_id, cursor, limit + 1)
    shown = _merged(stored, used)
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


def _first_uses(
    session: Session, device_id: int, cursor: HistoryCursor | None, limit: int
) -> list[DeviceHistory]:
    row = DeviceToken
    registered_at = select(Device.first_seen_at).where(Device.id == device_id).scalar_subquery()
    query = select(row).where(row.device_id == device_id, row.first_used_at != registered_at)
    if cursor is not None and cursor.token is None:
        entry = select(DeviceHistory.at).where(DeviceHistory.id == cursor.before)
        if (at := session.scalar(entry)) is None:
            return []  # it has been deleted, and nobody knows which uses have been shown
        query = query.where(row.first_used_at < at)
    elif cursor is not None and cursor.token is not None:
        at, token_id = cursor.token
        start = tuple_(literal(at, UTCDateTime()), literal(token_id))
        query = query.where(tuple_(row.first_used_at, row.token_id) < start)
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


def _merged(stored: Sequence[DeviceHistory], used: Sequence[DeviceHistory]) -> list[DeviceHistory]:
    """Merge both, without changing the order of either: times may not follow the ids."""
    merged: list[DeviceHistory] = []
    waiting = list(used)
    for entry in stored:
        while waiting and waiting[0].at >= entry.at:
            merged.append(waiting.pop(0))
        merged.append(entry)
    return merged + waiting


def _cursor_after(shown: Sequence[DeviceHistory], cursor: HistoryCursor | None) -> HistoryCursor:
    """Return the cursor of the page that follows these entries."""
    stored = [entry.id for entry in shown if entry.kind != TOKEN_FIRST_USED]
    used = [(entry.at, -entry.id) for entry in shown if entry.kind == TOKEN_FIRST_USED]
    before = min(stored, default=cursor.before if cursor else _NEWEST)
    return HistoryCursor(before, min(used, default=cursor.token if cursor else None))
