"""Block and unblock a device on behalf of an administrator."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from blinker import Signal
from sqlalchemy import select
from sqlalchemy.orm import Session

from apidevices import audit, revocation, signals
from apidevices.database import Database, retried_with_reserve
from apidevices.devices import ends
from apidevices.devices.queries import load
from apidevices.devices.records import block_details
from apidevices.errors import InvalidInput
from apidevices.models import Device, DeviceHistory, DeviceToken
from apidevices.text import clean_text

MAX_REASON = 1_000
"""The maximum length of a block reason, in characters."""

MAX_BLOCK = timedelta(days=36_525)
"""The maximum duration of a block that has an end."""


class Until(Enum):
    """Values for the end of a block that are not a time."""

    UNCHANGED = "unchanged"
    """No end for a new block, and the present end for a device that is blocked already."""


Check = Callable[[Device], object]
"""Called with the locked device before a change; raises an exception to prevent the change."""


def allow(_device: Device) -> None:
    """Allow every change."""


@retried_with_reserve
def block(
    db: Database,
    device_id: int,
    *,
    reason: str | None = None,
    until: datetime | Until | None = Until.UNCHANGED,
    revoke_tokens: Collection[int] = (),
    actor: str,
    now: datetime,
    check: Check = allow,
) -> Device:
    """Block a device: every request that it starts after this returns is denied, until the end.

    Idempotent: a device that is already blocked keeps its time, reason and end. Passing ``until``
    changes its end, and its reason if ``reason`` is passed, too. It stays blocked in between.

    Args:
        db: The database.
        device_id: The id of the device.
        reason: Why it is blocked.
        until: When the block ends by itself; None for no end.
        revoke_tokens: Ids of tokens to revoke in the same transaction. The device must have used
            them.
        actor: Who blocks the device.
        now: The current time.
        check: Is called with the locked device, and can prevent the change.

    Raises:
        DeviceNotFound: No device has this id.
        InvalidInput: The reason is longer than 1,000 characters, the end is not in the future or
            more than 100 years ahead, or the device has not used one of the tokens.
    """
    reason = clean_reason(reason)
    check_until(until, now)
    changed: list[Signal] = []
    with db.write() as session:
        device = load(session, device_id, lock=True)
        if _end_block(db, session, device, now):
            changed.append(signals.device_unblocked)
        check(device)
        if device.blocked_at is None:
            device.blocked_at = device.activity.last_activity_at = now
            device.block_reason, device.blocked_by = reason, actor
            device.blocked_until = until if isinstance(until, datetime) else None
            device.activity.blocked = True
            device.denied_before_block = device.activity.denied_count
            changed.append(signals.device_blocked)
            is_new = True
        else:
            is_new = _change_block(device, reason, until)
        if is_new:
            details = block_details(device.block_reason, device.blocked_until)
            _record(session, audit.Action.DEVICE_BLOCKED, device, actor, now, details)
        if revoke_tokens:
            _check_used(session, device_id, revoke_tokens)
            session.flush()  # locks the device's activity before the tokens, like activity writes
            revocation.revoke(db, session, revoke_tokens, actor=actor, now=now)
    for signal in changed:
        _send(signal, device)
    return device


@retried_with_reserve
def unblock(
    db: Database, device_id: int, *, actor: str, now: datetime, check: Check = allow
) -> Device:
    """Unblock a device: its next request is served. Idempotent.

    Raises:
        DeviceNotFound: No device has this id.
    """
    signal = None
    with db.write() as session:
        device = load(session, device_id, lock=True)
        if _end_block(db, session, device, now):
            signal = signals.device_unblocked
        check(device)
        if device.blocked_at is not None:
            device.clear_block()
            _record(session, audit.Action.DEVICE_UNBLOCKED, device, actor, now)
            signal = signals.device_unblocked
    _send(signal, device)
    return device


def check_until(until: datetime | Until | None, now: datetime) -> None:
    """Check the end of a block.

    Raises:
        InvalidInput: It is not in the future, more than 100 years ahead, or has no time zone.
    """
    if not isinstance(until, datetime):
        return
    if until.tzinfo is None:
        raise InvalidInput("until", "The end of a block needs a time zone.")
    if until <= now:
        raise InvalidInput("until", "The end of the block must be in the future.")
    if until > now + MAX_BLOCK:
        raise InvalidInput(
            "until", "Choose an end within 100 years, or none for a block without an end."
        )


def clean_reason(reason: str | None) -> str | None:
    """Return a block reason as it is stored.

    Raises:
        InvalidInput: The reason is longer than 1,000 characters.
    """
    reason = clean_text(reason or "") or None
    if reason and len(reason) > MAX_REASON:
        raise InvalidInput("reason", f"A reason can have at most {MAX_REASON:,} characters.")
    return reason


def _send(signal: Signal | None, device: Device) -> None:
    if signal is not None:
        signals.send_for(signal, device)


def _end_block(db: Database, session: Session, device: Device, now: datetime) -> bool:
    """Record that the block of a locked device has ended, if it has; return whether it has."""
    if device.blocked_until is None or not ends.end_in(db, session, [device.id], now):
        return False
    session.refresh(device)
    return True


def _change_block(device: Device, reason: str | None, until: datetime | Until | None) -> bool:
    """Change the end of a block, and its reason if one is given; return whether it has changed."""
    if isinstance(until, Until):
        return False
    new = (reason or device.block_reason, until)
    if new == (device.block_reason, device.blocked_until):
        return False
    device.block_reason, device.blocked_until = new
    return True


def _check_used(session: Session, device_id: int, token_ids: Collection[int]) -> None:
    used = select(DeviceToken.token_id).where(DeviceToken.device_id == device_id)
    if others := set(token_ids).difference(session.scalars(used)):
        raise InvalidInput("revoke_tokens", f"This device has not used the token {min(others)}.")


def _record(
    session: Session,
    action: audit.Action,
    device: Device,
    actor: str,
    now: datetime,
    details: dict[str, Any] | None = None,
) -> None:
    """Record a block or its end in the audit log and in the device's history."""
    audit.record(session, action, f"device:{device.id}", actor=actor, at=now, **details or {})
    session.add(
        DeviceHistory(
            device_id=device.id,
            kind=action.value.removeprefix("device."),
            at=now,
            changes={},
            actor=actor,
            details=details,
        )
    )
