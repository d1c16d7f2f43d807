"""Read and dismiss marks: what devices seem to be, with the evidence."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from apidevices import audit
from apidevices.database import Database
from apidevices.devices import sets, shared
from apidevices.devices.changes import Check, allow
from apidevices.devices.queries import load
from apidevices.devices.sets import Details
from apidevices.errors import MarkNotFound
from apidevices.listing import PAGE_SIZE, Count
from apidevices.models import MAX_ID, ApiToken, Device, DeviceMark, MarkKind

MARKS: Mapping[MarkKind, str] = {
    "shared": "may be several devices",
    "twin": "may be a device from before a reinstall",
    "blocked_again": "may be the blocked device",
}
"""What each kind of mark says about a device."""


PAIRS: Sequence[MarkKind] = ("twin", "blocked_again")
"""The marks that say that two devices may be one."""

MAX_COUNTED = 99
"""Up to how many suggestions are counted."""


class SeenSet(NamedTuple):
    """The details of one of the devices that send the same identifier, as last seen."""

    details: Details
    last_seen_at: datetime
    address: str | None
    token: ApiToken | None


class Mark(NamedTuple):
    """A mark with the devices and tokens that it refers to.

    Attributes:
        stored: The mark.
        device: The device that is marked.
        other: The other device of a pair.
        sets: For devices that may be several: their details, the latest first.
        token: The token that both devices of a pair have used.
    """

    stored: DeviceMark
    device: Device
    other: Device | None
    sets: Sequence[SeenSet]
    token: ApiToken | None = None

    @property
    def other_identifier(self) -> str | None:
        """The identifier of the other device of a pair."""
        return self.other.identifier if self.other else None

    @property
    def address(self) -> str | None:
        """The address that both devices of a pair had, if they had the same."""
        found: str | None = self.stored.evidence.get("address")
        return found

    @property
    def gap_seconds(self) -> int | None:
        """How long after the last request of the old device the new one began, for ``twin``."""
        found: int | None = self.stored.evidence.get("gap")
        return found

    @property
    def label(self) -> str:
        """What the mark says about the device."""
        return MARKS[self.stored.kind]  # type: ignore[index]  # the column is a text


def marks_of(db: Database, device_id: int) -> Sequence[Mark]:
    """Return the marks of a device that were not dismissed, also as the other one of a pair."""
    mark = DeviceMark
    query = select(mark).where(
        or_(mark.device_id == device_id, mark.other_id == device_id), mark.dismissed_at.is_(None)
    )
    with db.read() as session:
        return _complete(session, session.scalars(query.order_by(mark.id)).all())


def suggestions(
    db: Database, before: int | None = None, *, limit: int = PAGE_SIZE
) -> tuple[Sequence[Mark], int | None]:
    """Return pairs of devices that may be one, newest first, that were not dismissed.

    Args:
        db: The database.
        before: The id of the last mark of the page before; None for the first page.
        limit: The maximum number of pairs.

    Returns:
        The marks, and the id to continue with; None on the last page.
    """
    mark = DeviceMark
    query = select(mark).where(mark.kind.in_(PAIRS), mark.dismissed_at.is_(None))
    if before is not None:
        query = query.where(mark.id < before)
    with db.read() as session:
        found = session.scalars(query.order_by(mark.id.desc()).limit(limit + 1)).all()
        following = found[limit - 1].id if len(found) > limit else None
        return _complete(session, found[:limit]), following


def count_suggestions(db: Database) -> Count:
    """Return the number of pairs that may be one device, counted up to ``MAX_COUNTED``."""
    mark = DeviceMark
    some = select(mark.id).where(mark.kind.in_(PAIRS), mark.dismissed_at.is_(None))
    limited = some.limit(MAX_COUNTED + 1).subquery()
    with db.read() as session:
        number = session.scalar(select(func.count()).select_from(limited)) or 0
    return Count(min(number, MAX_COUNTED), exact=number <= MAX_COUNTED)


def dismiss(
    db: Database,
    device_id: int,
    mark_id: int,
    *,
    actor: str,
    now: datetime,
    check: Check = allow,
) -> None:
    """Dismiss a mark of a device. Idempotent.

    A pair never gets the mark again. A device that may be several gets it only if it swings to a
    set that is not known yet.

    Raises:
        DeviceNotFound: The device has been deleted.
        MarkNotFound: The device has no such mark.
    """
    with db.write() as session:
        mark = session.get(DeviceMark, mark_id) if mark_id <= MAX_ID else None
        if mark is None or device_id not in (mark.device_id, mark.other_id):
            raise MarkNotFound
        device = load(session, mark.device_id, lock=True)
        check(device)
        session.refresh(mark)  # a report may have changed it before the device was locked
        if mark.dismissed_at is not None:
            return
        mark.dismissed_at, mark.dismissed_by = now, actor
        if mark.kind == shared.SHARED:
            shared.dismiss(mark)
        label = MARKS[mark.kind]  # type: ignore[index]  # the column is a text
        subject = f"device:{device.id}"
        action = audit.Action.MARK_DISMISSED
        audit.record(session, action, subject, actor=actor, at=now, mark=label)


def _complete(session: Session, found: Sequence[DeviceMark]) -> list[Mark]:
    """Return marks with what they refer to, without pairs whose other device was deleted."""
    ids = {mark.device_id for mark in found} | {mark.other_id for mark in found}
    known = session.scalars(select(Device).where(Device.id.in_(ids - {None})))
    devices = {device.id: device for device in known}
    sightings = {mark.id: _newest(mark) for mark in found}
    used = {each.token_id for each_mark in sightings.values() for each in each_mark}
    used |= {mark.evidence.get("token_id") for mark in found}
    tokens = {
        token.id: token
        for token in session.scalars(select(ApiToken).where(ApiToken.id.in_(used - {None})))
    }
    return [
        Mark(
            mark,
            devices[mark.device_id],
            None if mark.other_id is None else devices[mark.other_id],
            [
                SeenSet(
                    each.details,
                    each.at,
                    each.address,
                    None if each.token_id is None else tokens.get(each.token_id),
                )
                for each in sightings[mark.id]
            ],
            tokens.get(mark.evidence.get("token_id", 0)),
        )
        for mark in found
        if {mark.device_id, mark.other_id} - {None} <= devices.keys()
    ]


def _newest(mark: DeviceMark) -> Sequence[sets.Sighting]:
    """Return the latest sighting of each hardware and system, the latest first."""
    if mark.kind != shared.SHARED:
        return []
    found = shared.sightings_of(mark)
    newest = {sets.parts_of(each.details): each for each in sorted(found, key=lambda it: it.at)}
    return sorted(newest.values(), key=lambda it: it.at, reverse=True)
