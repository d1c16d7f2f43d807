"""Store what devices report about themselves in request headers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from blinker import Signal
from sqlalchemy import literal_column, select, update
from sqlalchemy.orm import Session

from apidevices import signals
from apidevices.database import Database
from apidevices.devices import ends
from apidevices.devices.limits import ReportLimits
from apidevices.devices.queries import get
from apidevices.identity import DeviceIdentity
from apidevices.listing import search
from apidevices.listing.search import search_key, short_key
from apidevices.models import REPORTS, Device, DeviceActivity, DeviceHistory, DeviceToken


@dataclass(frozen=True, slots=True)
class _Report:
    """What a device reported, and where the report came from."""

    identity: DeviceIdentity
    token_id: int | None
    address: str | None
    at: datetime
    limits: ReportLimits | None

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
    """The result of a report: the device's id, whether it is blocked, and what was written."""

    device_id: int
    blocked: bool
    change: Literal["registered", "changed"] | None


def report(
    db: Database,
    identity: DeviceIdentity,
    *,
    token_id: int | None,
    address: str | None,
    now: datetime,
    limits: ReportLimits | None = None,
) -> ReportResult:
    """Store the details that a device reports; they are durable when this returns.

    An unknown device is registered, with a ``registered`` history entry. For a known device the
    changed details are stored, with one ``changed`` entry. Concurrent calls that report the same
    change write it once. A report from a blocked device changes nothing.

    Raises:
        LimitReached: A limit on registrations or changes is reached. Nothing is stored.
    """
    report = _Report(identity, token_id, address, now, limits)
    with db.write(essential=False) as session:
        result, events = _store(db, session, report)
    for signal, details in events:
        signals.send(signal, lambda: get(db, result.device_id), **details)
    return result


_Events = list[tuple[Signal, dict[str, Any]]]
"""Signals to send after the commit, with their details."""


def _store(db: Database, session: Session, report: _Report) -> tuple[ReportResult, _Events]:
    """Store a report; return its result, and the signals to send."""
    locked = (
        select(Device)
        .where(Device.identifier == report.identity.identifier)
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
    changes = _update_details(session, device, report)
    if not changes:
        return ReportResult(device.id, blocked=False, change=None), events
    result = ReportResult(device.id, blocked=False, change="changed")
    return result, [*events, (signals.device_changed, {"changes": changes})]


def _register(db: Database, session: Session, report: _Report) -> int | None:
    """Insert a device and return its id, or None if a concurrent request inserted it first."""
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


def _update_details(
    session: Session, device: Device, report: _Report
) -> dict[str, list[str | None]]:
    """Store the changed details and return them: field -> [old, new]."""
    changes: dict[str, list[str | None]] = {
        field: [getattr(device, field), value]
        for field, value in report.identity.details.items()
        if getattr(device, field) != value
    }
    if changes:
        last_change = _last_change(session, device)
        session.execute(
            update(Device)
            .where(Device.id == device.id)
            .values({field: new for field, (_, new) in changes.items()})
        )
        session.add(report.history_entry(device.id, "changed", changes))
        if report.limits is not None:
            session.flush()
            report.limits.take_change(session, device.id, last_change)
    return changes


def _last_change(session: Session, device: Device) -> datetime:
    """Return when a device was registered or changed its details most recently."""
    newest = (
        select(DeviceHistory.at)
        .where(DeviceHistory.device_id == device.id, DeviceHistory.kind.in_(REPORTS))
        .order_by(DeviceHistory.id.desc())
        .limit(1)
    )
    return session.scalar(newest) or device.first_seen_at
