"""Sets of details: what tells the devices apart that send the same identifier.

A set is all details of a report. Two sets are those of different devices if their hardware or their
system differ. Details that differ only in case or width are the same: clients may spell them in
several ways.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import select
from sqlalchemy.orm import Session

from apidevices.clock import parse_rfc3339, rfc3339
from apidevices.identity import DETAILS
from apidevices.listing.search import fold
from apidevices.models import REPORTS, DeviceHistory

HARDWARE = ("manufacturer", "model")
SYSTEM = ("os", "os_version")
PARTS = (HARDWARE, SYSTEM)

SWING = timedelta(days=1)
"""Within this time, a device that reports an earlier set again has swung back."""

MAX_SETS = 32
"""How many sets of a device are known at most. A set is forgotten only if it was not seen for
``SWING``, so that more devices than this can't push each other out."""

MAX_CHARACTERS = 8_000
"""How long all details of these sets may be together. Ordinary details have less than a hundred
characters; longer ones would make each write about the device a large one."""

MAX_ENTRIES = 100
"""How many history entries are read at most to find an earlier set. Within ``SWING``, a device
rarely has more than a few."""

Details = Mapping[str, str | None]
"""Field -> value, for all fields of ``identity.DETAILS``."""

Key = tuple[str | None, ...]
"""What identifies a set: its folded details, in the order of ``identity.DETAILS``."""


def key_of(values: Sequence[str | None]) -> Key:
    """Return the key of a set.

    Args:
        values: The details, in the order of ``identity.DETAILS``.
    """
    return tuple(None if value is None else fold(value) for value in values)


def key_of_details(details: Details) -> Key:
    """Return the key of a set of details by field."""
    return key_of([details[field] for field in DETAILS])


def part_of(details: Details, fields: Sequence[str]) -> Key:
    """Return the folded hardware or system of a set."""
    return key_of([details[field] for field in fields])


def parts_of(details: Details) -> tuple[Key, Key]:
    """Return the folded hardware and system of a set: what tells devices apart."""
    hardware, system = (part_of(details, fields) for fields in PARTS)
    return hardware, system


class Sighting:
    """A set, and when and from where it was last seen.

    Attributes:
        details: The details as the device reported them.
        at: When they were last seen.
        address: The address of the client.
        token_id: The token of the request.
    """

    __slots__ = ("address", "at", "details", "key", "token_id")

    def __init__(
        self, details: Details, at: datetime, address: str | None, token_id: int | None
    ) -> None:
        self.details = {field: details[field] for field in DETAILS}
        self.at = at
        self.address = address
        self.token_id = token_id
        self.key = key_of_details(self.details)

    @property
    def length(self) -> int:
        """The number of characters of the details."""
        return sum(len(value) for value in self.details.values() if value is not None)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Return a sighting from the evidence of a mark."""
        at = parse_rfc3339(stored["at"])
        return cls(stored["details"], at, stored["address"], stored["token_id"])

    def to_json(self) -> dict[str, Any]:
        """Return the sighting for the evidence of a mark."""
        return {
            "details": self.details,
            "at": rfc3339(self.at),
            "address": self.address,
            "token_id": self.token_id,
        }


def add(sightings: list[Sighting], new: Sighting) -> None:
    """Add a sighting, or renew the one of the same set. Drops sets that were not seen for long."""
    others = [each for each in sightings if each.key != new.key]
    if not _have_room(others, new):
        others = [each for each in others if new.at - each.at <= SWING]
    if _have_room(others, new):
        others.append(new)
    sightings[:] = others


def _have_room(sightings: Sequence[Sighting], new: Sighting) -> bool:
    """Return whether a mark that knows these sets can know another one."""
    length = sum(each.length for each in (*sightings, new))
    return len(sightings) < MAX_SETS and length <= MAX_CHARACTERS


def find_swing(
    session: Session, device_id: int, stored: Details, new: Sighting
) -> list[Sighting] | None:
    """Return the sets that a device has had since it had the hardware or system of a new report.

    Args:
        session: The session that has locked the device.
        device_id: The id of the device.
        stored: The details before the report.
        new: What the device reports now.

    Returns:
        The sets, with the new one first. None if the report is no swing: it changes neither
        hardware nor system, or the device has not had the new ones within ``SWING``.
    """
    parts = [fields for fields in PARTS if part_of(stored, fields) != part_of(new.details, fields)]
    if not parts or _is_other_spelling(stored, new.details):
        return None
    found = [new]
    for earlier in _earlier(session, device_id, stored, new.at):
        is_back = any(
            part_of(earlier.details, part) == part_of(new.details, part) for part in parts
        )
        has_room = is_back or _have_room(found, earlier)
        if has_room and all(each.key != earlier.key for each in found):
            found.append(earlier)
        if is_back:
            return found
    return None


def _is_other_spelling(one: Details, other: Details) -> bool:
    """Return whether two sets may be of one device with two applications.

    Applications may spell the model in different ways, such as "SM-X520" and "Galaxy Tab S10".
    """
    same = ("manufacturer", *SYSTEM)
    is_other_application = part_of(one, ["application"]) != part_of(other, ["application"])
    return is_other_application and part_of(one, same) == part_of(other, same)


def _earlier(
    session: Session, device_id: int, stored: Details, now: datetime
) -> Iterator[Sighting]:
    """Yield the sets that a device had within ``SWING``, newest first, from its history.

    Each is dated by the entry with which it began.
    """
    row = DeviceHistory
    columns = (row.kind, row.at, row.address, row.token_id, row.changes)
    newest = select(*columns, row.id).where(row.device_id == device_id, row.kind.in_(REPORTS))
    newest_entries = newest.order_by(row.id.desc()).limit(MAX_ENTRIES).subquery()
    entries = select(newest_entries).where(newest_entries.c.at > now - SWING)
    details, until = dict(stored), now
    for entry in session.execute(entries.order_by(newest_entries.c.id.desc())):
        yield Sighting(details, entry.at, entry.address, entry.token_id)
        if entry.kind != "changed":
            return
        for field, (old, _) in entry.changes.items():
            details[field] = old
        until = entry.at
    yield Sighting(details, until, None, None)
