"""Devices that may be several: one identifier that swings between sets of details.

The mark of such a device knows its sets. A report of a known set changes nothing but the mark, so
that neither the history grows nor the limits on changes are used up: see ``known_sets`` for how
seldom even that is written. The device keeps the details of the latest new set.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.devices import sets
from apidevices.devices.sets import SWING, Details, Key, Sighting
from apidevices.models import DeviceMark

SHARED = "shared"

RECORDED = timedelta(hours=6)
"""For how long the mark of a device that a process can't remember need not be written again. A
fraction of ``SWING``, so that no set seems to be gone that is still in use."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a report of a device means for its mark.

    Attributes:
        known: The keys of all sets that the mark knows. Empty without a mark.
        is_settled: Whether the report is only counted, and changes nothing else.
        is_marked: Whether the report has marked the device, or renewed a dismissed mark.
    """

    known: frozenset[Key] = frozenset()
    is_settled: bool = False
    is_marked: bool = False


def load_mark(session: Session, device_id: int, *, lock: bool = False) -> DeviceMark | None:
    """Return the mark of a device, even if it was dismissed."""
    mark = DeviceMark
    query = select(mark).where(mark.device_id == device_id, mark.kind == SHARED)
    return session.scalar(query.with_for_update() if lock else query)


def judge(
    session: Session,
    device_id: int,
    stored: Details,
    new: Sighting,
    *,
    last_change: datetime,
    swings: int,
) -> Outcome:
    """Judge a report of a locked device, and write that to its mark.

    Args:
        session: The session that has locked the device.
        device_id: The id of the device.
        stored: The details before the report.
        new: What the device reports. It may be the stored set, if the device has a mark.
        last_change: When the device was registered or changed its details most recently.
        swings: How often it has swung since its mark was written, as this process has counted.
    """
    mark = load_mark(session, device_id)
    if mark is None:
        if last_change <= new.at - SWING:
            return Outcome()
        swung = sets.find_swing(session, device_id, stored, new)
        return Outcome() if swung is None else _mark(session, device_id, swung)
    sightings = sightings_of(mark)
    by_key = {each.key: each for each in sightings}
    is_stored = new.key == sets.key_of_details(stored)
    is_settled = new.key in by_key and (is_stored or not _is_outdated(by_key, stored, new.at))
    is_back = False
    if is_settled and not is_stored:
        swings = max(swings, 1)
        is_back = mark.dismissed_at is not None and _is_unknown(mark, [stored, new.details])
    sets.add(sightings, new)
    _store(mark, sightings)
    mark.last_at = max(mark.last_at, new.at)
    mark.count += swings
    if is_back:
        mark.dismissed_at = mark.dismissed_by = None
    session.flush()
    return Outcome(frozenset(each.key for each in sightings), is_settled, is_back)


def is_recorded(db: Database, device_id: int, stored: Details, new: Details, now: datetime) -> bool:
    """Return whether a report would change nothing but when its set was last seen, and only a bit.

    Args:
        db: The database.
        device_id: The id of the device.
        stored: The details of the device.
        new: What it reports.
        now: The time of the report.
    """
    with db.read() as session:
        mark = load_mark(session, device_id)
        if mark is None:
            return False
        by_key = {each.key: each for each in sightings_of(mark)}
    seen = by_key.get(sets.key_of_details(new))
    if seen is None or abs(now - seen.at) > RECORDED or _is_outdated(by_key, stored, now):
        return False
    return mark.dismissed_at is None or not _is_unknown(mark, [stored, new])


def sightings_of(mark: DeviceMark) -> list[Sighting]:
    """Return the sets that a mark knows."""
    return [Sighting.from_json(each) for each in mark.evidence["sets"]]


def dismiss(mark: DeviceMark) -> None:
    """Store which hardware and systems are known when a mark is dismissed."""
    known = {sets.parts_of(each.details) for each in sightings_of(mark)}
    mark.evidence = {**mark.evidence, "dismissed": sorted(map(list, known), key=repr)}


def _is_outdated(by_key: Mapping[Key, Sighting], stored: Details, now: datetime) -> bool:
    """Return whether a device has the details of a set that is no longer seen.

    Its next report then changes them to those of a set that is.
    """
    current = by_key.get(sets.key_of_details(stored))
    return current is None or now - current.at > SWING


def _mark(session: Session, device_id: int, swung: list[Sighting]) -> Outcome:
    new = swung[0]
    mark = DeviceMark(
        kind=SHARED,
        device_id=device_id,
        evidence={},
        first_at=new.at,
        last_at=new.at,
        count=1,
    )
    _store(mark, swung)
    session.add(mark)
    return Outcome(frozenset(each.key for each in swung), is_marked=True)


def _store(mark: DeviceMark, sightings: list[Sighting]) -> None:
    newest_first = sorted(sightings, key=lambda each: each.at, reverse=True)
    mark.evidence = {**mark.evidence, "sets": [each.to_json() for each in newest_first]}


def _is_unknown(mark: DeviceMark, swung: Iterable[Details]) -> bool:
    """Return whether one of these sets was not known when a mark was dismissed."""
    known: list[Any] = mark.evidence.get("dismissed", [])
    dismissed = {(tuple(hardware), tuple(system)) for hardware, system in known}
    return any(sets.parts_of(each) not in dismissed for each in swung)
