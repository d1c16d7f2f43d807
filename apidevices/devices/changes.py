"""Block and unblock a device on behalf of an administrator."""

from collections.abc import Callable
from datetime import datetime

from blinker import Signal

from apidevices import audit, signals
from apidevices.database import Database, retried_with_reserve
from apidevices.devices.queries import load
from apidevices.errors import InvalidInput
from apidevices.models import Device
from apidevices.text import clean_text

MAX_REASON = 1_000
"""The maximum length of a block reason, in characters."""

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
    actor: str,
    now: datetime,
    check: Check = allow,
) -> Device:
    """Block a device: every request that it starts after this returns is denied.

    Idempotent: a device that is already blocked keeps its time and reason.

    Raises:
        DeviceNotFound: No device has this id.
        InvalidInput: The reason is longer than 1,000 characters.
    """
    reason = clean_reason(reason)
    signal = None
    with db.write() as session:
        device = load(session, device_id, lock=True)
        check(device)
        if device.blocked_at is None:
            device.blocked_at = device.activity.last_activity_at = now
            device.block_reason, device.blocked_by = reason, actor
            device.activity.blocked = True
            audit.record(
                session,
                audit.Action.DEVICE_BLOCKED,
                f"device:{device_id}",
                actor=actor,
                at=now,
                reason=reason,
            )
            signal = signals.device_blocked
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
    _send(signal, device)
    return device


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
        signals.send(signal, lambda: device)
