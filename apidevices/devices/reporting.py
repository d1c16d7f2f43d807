"""Store what devices report about themselves in request headers."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from blinker import Signal
from sqlalchemy import exists, literal_column, select, update
from sqlalchemy.orm import Session

from apidevices import signals
from apidevices.database import Database
from apidevices.devices import again, ends, shared
from apidevices.devices.limits import ReportLimits
from apidevices.devices.queries import get
from apidevices.devices.sets import HARDWARE, Key, Sighting
from apidevices.identity import DETAILS, DeviceIdentity
from apidevices.listing import search
from apidevices.listing.search import search_key, short_key
from apidevices.models import (
    REPORTS,
    Device,
    DeviceActivity,
    DeviceAlias,
    DeviceHistory,
    DeviceToken,
)


@dataclass(frozen=True, slots=True)
class _Report:
    """What a device reported, and where the report came from."""

    identity: DeviceIdentity
    token_id: int | None
    address: str | None
    at: datetime
    limits: ReportLimits | None
    swings: int

    def history_entry(
        self, device_id: int, kind: str, changes: dict[str, list[str | None]]
    ) -> DeviceHistory:
        return DeviceHistory(
            device_id=device_id,
            kind=kind,
            at=self.at,
            changes=changes,
            token_id=self.token_id,
            address=self.address,
        )


@dataclass(frozen=True, slots=True)
class ReportResult:
    """The result of a report: the device's id, whether it is blocked, and what was written.

    ``known`` has the sets of details of a device that may be several: see ``KnownSets``.
    """

    device_id: int
    blocked: bool
    change: Literal["registered", "changed"] | None
    known: frozenset[Key] = frozenset()


def report(
    db: Database,
    identity: DeviceIdentity,
    *,
    token_id: int | None,
    address: str | None,
    now: datetime,
    limits: ReportLimits | None = None,
    swings: int = 0,
) -> ReportResult:
    """Store the details that a device reports; they are durable when this returns.

    An unknown device is registered, with a ``registered`` history entry. For a known device the
    changed details are stored, with one ``changed`` entry. Concurrent calls that report the same
    change write it once. A report from a blocked device changes nothing.

    A device that swings between sets of details is marked: it may be several devices. From then on,
    a report of a known set is only counted: see ``shared``.

    Args:
        db: The database.
        identity: The identifier and the details.
        token_id: The token of the request.
        address: The address of the client.
        now: The time of the request.
        limits: The limits on registrations and changes.
        swings: How often a device that may be several has swung since it was last reported.

    Raises:
        LimitReached: A limit on registrations or changes is reached. Nothing is stored.
    """
    report = _Report(identity, token_id, address, now, limits, swings)
    while True:
        try:
            with db.write(essential=False) as session:
                result, events = _store(db, session, report)
            break
        except _JustMerged:
            continue  # the next attempt finds the device by the alias
    for signal, details in events:
        signals.send(signal, lambda: get(db, result.device_id), **details)
    return result


class _JustMerged(Exception):
    """The identifier has become an alias during its registration."""


_Events = list[tuple[Signal, dict[str, Any]]]
"""Signals to send after the commit, with their details."""


def _store(db: Database, session: Session, report: _Report) -> tuple[ReportResult, _Events]:
    """Store a report; return its result, and the signals to send."""
    locked = (
        select(Device)
        .where(Device.identified_by(report.identity.identifier))
        .with_for_update(key_share=True)
    )
    device = session.scalar(locked)
    while device is None:
        device_id = _register(db, session, report)
        if device_id is not None:
            result = ReportResult(device_id, blocked=False, change="registered")
            return result, [(signals.device_registered, {})]
        # The row that the INSERT conflicted with, unless that has been deleted since.
        device = session.scalar(locked)
    if device.is_blocked_at(report.at):
        return ReportResult(device.id, blocked=True, change=None), []
    events: _Events = []
    if device.blocked_until is not None and ends.end_in(db, session, [device.id], report.at):
        events.append((signals.device_unblocked, {}))
    changes = _changes(device, report)
    if not changes and not report.swings:
        return ReportResult(device.id, blocked=False, change=None), events
    last_change = _last_change(session, device)
    stored = {field: getattr(device, field) for field in DETAILS}
    outcome = shared.judge(
        session,
        device.id,
        stored,
        Sighting({**stored, **report.identity.details}, report.at, report.address, report.token_id),
        last_change=last_change,
        swings=report.swings,
    )
    result = ReportResult(device.id, blocked=False, change=None, known=outcome.known)
    if changes and not outcome.is_settled:
        _change(session, device.id, report, changes, last_change)
        result = replace(result, change="changed")
        events.append((signals.device_changed, {"changes": changes}))
    if outcome.is_marked:
        events.append((signals.device_shared, {}))
    return result, events


def _register(db: Database, session: Session, report: _Report) -> int | None:
    """Insert a device and return its id, or None if a concurrent request inserted it first.

    Raises:
        _JustMerged: The device with this identifier was merged into another one.
    """
    identity, now = report.identity, report.at
    key = search_key(identity.identifier, None)
    device_id: int | None = session.scalar(
        db.insert(Device)
        .values(
            **_unused_id(db),
            identifier=identity.identifier,
            first_seen_at=now,
            search_key=key,
            **identity.details,
        )
        .on_conflict_do_nothing(index_elements=[Device.identifier])
        .returning(Device.id)
    )
    if device_id is None:
        return None
    # On PostgreSQL, the insertion waits for a merge that deletes the row with this identifier. Only
    # a new statement sees the alias then. No merge can follow: it would need that row.
    if session.scalar(select(exists().where(DeviceAlias.identifier == identity.identifier))):
        raise _JustMerged
    session.add_all(
        [
            DeviceActivity(
                device_id=device_id,
                last_active_at=now,
                last_activity_at=now,
                search_key=short_key(key),
            ),
            report.history_entry(
                device_id,
                "registered",
                {field: [None, value] for field, value in identity.details.items()},
            ),
        ]
    )
    if report.token_id is not None:
        session.add(
            DeviceToken(
                device_id=device_id, token_id=report.token_id, first_used_at=now, last_used_at=now
            )
        )
    session.flush()
    manufacturer, model = map(identity.details.get, HARDWARE)
    new = again.NewDevice(device_id, manufacturer, model, report.token_id, report.address, now)
    again.mark_if_blocked(session, new)
    if report.limits is not None:
        # Last: on PostgreSQL, other registrations with the same token wait from here on.
        session.flush()
        report.limits.take_registration(session)
    return device_id


def _unused_id(db: Database) -> dict[str, Any]:
    """Return the id for a new device on SQLite, which would reuse those of deleted devices.

    Links, audit entries and buffered activity may still refer to them.
    """
    if db.engine.dialect.name != "sqlite":
        return {}
    return {"id": literal_column(f"({search.NEXT_DEVICE_ID})")}


def _changes(device: Device, report: _Report) -> dict[str, list[str | None]]:
    """Return the details that a report changes: field -> [old, new]."""
    return {
        field: [getattr(device, field), value]
        for field, value in report.identity.details.items()
        if getattr(device, field) != value
    }


def _change(
    session: Session,
    device_id: int,
    report: _Report,
    changes: dict[str, list[str | None]],
    last_change: datetime,
) -> None:
    """Store changed details."""
    session.execute(
        update(Device)
        .where(Device.id == device_id)
        .values({field: new for field, (_, new) in changes.items()})
    )
    session.add(report.history_entry(device_id, "changed", changes))
    if report.limits is not None:
        session.flush()
        report.limits.take_change(session, device_id, last_change)


def _last_change(session: Session, device: Device) -> datetime:
    """Return when a device was registered or changed its details most recently."""
    newest = (
        select(DeviceHistory.at)
        .where(DeviceHistory.device_id == device.id, DeviceHistory.kind.in_(REPORTS))
        .order_by(DeviceHistory.id.desc())
        .limit(1)
    )
    return session.scalar(newest) or device.first_seen_at
