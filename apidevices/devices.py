"""What can be asked of a device or done to it; the only place that writes devices."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from blinker import Signal
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from apidevices import audit, signals
from apidevices.database import Database
from apidevices.errors import DeviceNotFound, InvalidInput
from apidevices.identity import DeviceIdentity
from apidevices.listing import PAGE_SIZE
from apidevices.listing.search import search_key
from apidevices.models import MAX_ID, Device, DeviceActivity, DeviceHistory, DeviceToken
from apidevices.text import MAX_LENGTH, clean_text

MAX_REASON = 1_000
"""Characters of a reason for a block at most."""


Check = Callable[[Device], object]
"""Is shown a device, locked, before it is changed, and may raise instead."""


def nothing_to_check(_device: Device) -> None:
    """Let a device be changed, whatever it is like."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What came of a device's report: its id, and whether it has been blocked meanwhile."""

    device_id: int
    blocked: bool


# --- asked of devices --------------------------------------------------------------------------


def get(db: Database, device_id: int) -> Device:
    """Return a device by its id.

    Raises:
        DeviceNotFound: there is none.
    """
    with db.read() as session:
        return _get(session, device_id)


def by_identifier(db: Database, identifier: str) -> Device:
    """Return a device by the identifier that it sends.

    Raises:
        DeviceNotFound: there is none.
    """
    if not identifier.isprintable():
        raise DeviceNotFound  # no device can have it, and no driver can be asked for it
    with db.read() as session:
        device = session.scalar(select(Device).where(Device.identifier == identifier))
    if device is None:
        raise DeviceNotFound
    return device


def history_page(
    db: Database, device_id: int, before: int | None = None
) -> tuple[Sequence[DeviceHistory], int | None]:
    """Return a page of a history, and the ``before`` of the next page where there is one."""
    found = history(db, device_id, before=before, limit=PAGE_SIZE + 1)
    shown = found[:PAGE_SIZE]
    return shown, shown[-1].id if len(found) > PAGE_SIZE else None


def history(
    db: Database, device_id: int, *, before: int | None = None, limit: int | None = None
) -> Sequence[DeviceHistory]:
    """Return what a device reported that was new, newest first, from below the id ``before``."""
    query = select(DeviceHistory).where(DeviceHistory.device_id == device_id)
    if before is not None:
        query = query.where(DeviceHistory.id < before)
    with db.read() as session:
        return session.scalars(query.order_by(DeviceHistory.id.desc()).limit(limit)).all()


def tokens_used(db: Database, device_id: int) -> Sequence[DeviceToken]:
    """Return the tokens that a device has called with, last used first."""
    with db.read() as session:
        return session.scalars(
            select(DeviceToken)
            .where(DeviceToken.device_id == device_id)
            .order_by(DeviceToken.last_used_at.desc(), DeviceToken.token_id.desc())
        ).all()


# --- done by devices ---------------------------------------------------------------------------


def report(
    db: Database,
    identity: DeviceIdentity,
    *,
    token_id: int | None,
    address: str | None,
    now: datetime,
) -> Reported:
    """Store what is new in what a device says of itself; durable when this returns.

    Registers a device that nobody knew, with a ``registered`` entry, or stores the details that
    changed, with one ``changed`` entry. Calls that race for the same news write it once. A device
    that is blocked changes nothing.
    """
    with db.write() as session:
        reported, signal, details = _report(db, session, identity, token_id, address, now)
    if signal is not None:
        signals.send(signal, lambda: get(db, reported.device_id), **details)
    return reported


# --- done to devices ---------------------------------------------------------------------------


def rename(
    db: Database,
    device_id: int,
    name: str,
    *,
    actor: str,
    now: datetime,
    check: Check = nothing_to_check,
) -> Device:
    """Give a device a name; an empty one returns it to its identifier.

    Raises:
        DeviceNotFound: there is no such device.
        InvalidInput: the name is longer than 255 characters.
    """
    wanted = clean_text(name) or None
    if wanted is None and name.strip():
        raise InvalidInput("name", "This name has no visible characters.")
    if wanted and len(wanted) > MAX_LENGTH:
        raise InvalidInput("name", f"A name can have at most {MAX_LENGTH} characters.")
    signal = None
    with db.write() as session:
        device = _get(session, device_id, lock=True)
        check(device)
        if device.name != wanted:
            audit.record(
                session,
                audit.Action.DEVICE_RENAMED,
                f"device:{device_id}",
                actor=actor,
                at=now,
                old=device.name,
                new=wanted,
            )
            device.name = wanted
            device.search_key = search_key(device.identifier, wanted)
            signal = signals.device_renamed
    return _told(signal, device)


def block(
    db: Database,
    device_id: int,
    *,
    reason: str | None = None,
    actor: str,
    now: datetime,
    check: Check = nothing_to_check,
) -> Device:
    """Block a device: each of its requests that starts after this returns is denied.

    A device that is blocked already stays as it is, with its time and reason.

    Raises:
        DeviceNotFound: there is no such device.
        InvalidInput: the reason is longer than 1,000 characters.
    """
    reason = _clean_reason(reason)
    with db.write() as session:
        device = _get(session, device_id, lock=True)
        check(device)
        signal = _block(session, device, reason, actor, now)
    return _told(signal, device)


def block_all(
    db: Database, device_ids: Collection[int], *, reason: str | None, actor: str, now: datetime
) -> Sequence[Device]:
    """Block devices, all at once or none; return those that there are, by their ids.

    Raises:
        InvalidInput: the reason is longer than 1,000 characters.
    """
    reason = _clean_reason(reason)
    with db.write() as session:
        # In one order, whoever locks: nobody deadlocks.
        query = select(Device).where(Device.id.in_(device_ids)).order_by(Device.id)
        found = session.scalars(query.with_for_update(key_share=True)).all()
        signals_due = [_block(session, device, reason, actor, now) for device in found]
    for device, signal in zip(found, signals_due, strict=True):
        _told(signal, device)
    return found


def unblock(
    db: Database, device_id: int, *, actor: str, now: datetime, check: Check = nothing_to_check
) -> Device:
    """Unblock a device: its next request is served. A device that is not blocked stays as it is.

    Raises:
        DeviceNotFound: there is no such device.
    """
    signal = None
    with db.write() as session:
        device = _get(session, device_id, lock=True)
        check(device)
        if device.blocked_at is not None:
            device.blocked_at = device.block_reason = device.blocked_by = None
            device.activity.blocked = False
            device.activity.last_activity_at = device.activity.last_active_at
            audit.record(
                session,
                audit.Action.DEVICE_UNBLOCKED,
                f"device:{device_id}",
                actor=actor,
                at=now,
            )
            signal = signals.device_unblocked
    return _told(signal, device)


def _clean_reason(reason: str | None) -> str | None:
    reason = clean_text(reason or "") or None
    if reason and len(reason) > MAX_REASON:
        raise InvalidInput("reason", f"A reason can have at most {MAX_REASON:,} characters.")
    return reason


def _block(
    session: Session, device: Device, reason: str | None, actor: str, now: datetime
) -> Signal | None:
    """Block a device that is locked; return what is to be told of it."""
    if device.blocked_at is not None:
        return None
    device.blocked_at = device.activity.last_activity_at = now
    device.block_reason, device.blocked_by = reason, actor
    device.activity.blocked = True
    audit.record(
        session,
        audit.Action.DEVICE_BLOCKED,
        f"device:{device.id}",
        actor=actor,
        at=now,
        reason=reason,
    )
    return signals.device_blocked


def _told(signal: Signal | None, device: Device) -> Device:
    """Tell who listens what was done, if anything was; return the device."""
    if signal is not None:
        signals.send(signal, lambda: device)
    return device


# --- queries -----------------------------------------------------------------------------------


def _get(session: Session, device_id: int, *, lock: bool = False) -> Device:
    if device_id > MAX_ID:
        raise DeviceNotFound  # no device can have it, and no driver can be asked for it
    query = select(Device).where(Device.id == device_id)
    device = session.scalar(query.with_for_update(key_share=True) if lock else query)
    if device is None:
        raise DeviceNotFound
    return device


def _report(
    db: Database,
    session: Session,
    identity: DeviceIdentity,
    token_id: int | None,
    address: str | None,
    now: datetime,
) -> tuple[Reported, Signal | None, dict[str, Any]]:
    """Store what is new; return what came of it, and the signal and its details that are due."""
    locked = (
        select(Device)
        .where(Device.identifier == identity.identifier)
        .with_for_update(key_share=True)
    )
    device = session.scalar(locked)
    if device is None:
        device_id = _register(db, session, identity, token_id, address, now)
        if device_id is not None:
            return Reported(device_id, blocked=False), signals.device_registered, {}
        device = session.scalars(locked).one()  # that the INSERT met
    if device.blocked_at is not None:
        return Reported(device.id, blocked=True), None, {}
    changes = _change(session, device, identity, token_id, address, now)
    signal = signals.device_changed if changes else None
    return Reported(device.id, blocked=False), signal, {"changes": changes}


def _register(
    db: Database,
    session: Session,
    identity: DeviceIdentity,
    token_id: int | None,
    address: str | None,
    now: datetime,
) -> int | None:
    """Insert a device and return its id, or None where another request was first."""
    device_id: int | None = session.scalar(
        db.insert(Device)
        .values(
            identifier=identity.identifier,
            first_seen_at=now,
            search_key=search_key(identity.identifier, None),
            **identity.details,
        )
        .on_conflict_do_nothing(index_elements=[Device.identifier])
        .returning(Device.id)
    )
    if device_id is None:
        return None
    session.add_all(
        [
            DeviceActivity(device_id=device_id, last_active_at=now, last_activity_at=now),
            DeviceHistory(
                device_id=device_id,
                kind="registered",
                at=now,
                changes={field: [None, value] for field, value in identity.details.items()},
                token_id=token_id,
                address=address,
            ),
        ]
    )
    if token_id is not None:
        session.add(
            DeviceToken(device_id=device_id, token_id=token_id, first_used_at=now, last_used_at=now)
        )
    return device_id


def _change(
    session: Session,
    device: Device,
    identity: DeviceIdentity,
    token_id: int | None,
    address: str | None,
    now: datetime,
) -> dict[str, list[str | None]]:
    """Store the details that are new and return them: field -> [old, new]."""
    changes: dict[str, list[str | None]] = {
        field: [getattr(device, field), value]
        for field, value in identity.details.items()
        if getattr(device, field) != value
    }
    if changes:
        session.execute(
            update(Device)
            .where(Device.id == device.id)
            .values({field: new for field, (_, new) in changes.items()})
        )
        session.add(
            DeviceHistory(
                device_id=device.id,
                kind="changed",
                at=now,
                changes=changes,
                token_id=token_id,
                address=address,
            )
        )
    return changes
