"""Read devices, their history and the tokens they have used."""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.errors import DeviceNotFound
from apidevices.listing import PAGE_SIZE
from apidevices.models import MAX_ID, Device, DeviceActivity, DeviceHistory, DeviceToken


def get(db: Database, device_id: int) -> Device:
    """Return a device by its id.

    Raises:
        DeviceNotFound: No device has this id.
    """
    with db.read() as session:
        return load(session, device_id)


def by_identifier(db: Database, identifier: str) -> Device:
    """Return a device by the identifier that it sends.

    Raises:
        DeviceNotFound: No device has this identifier.
    """
    device = None
    # All identifiers are printable, and drivers reject some strings that aren't.
    if identifier.isprintable():
        with db.read() as session:
            device = session.scalar(select(Device).where(Device.identifier == identifier))
    if device is None:
        raise DeviceNotFound(f"No device has the identifier {identifier!r}.")
    return device


def history_page(
    db: Database, device_id: int, before: int | None = None
) -> tuple[Sequence[DeviceHistory], int | None]:
    """Return one page of a device's history, and ``before`` for the next page, if any."""
    found = history(db, device_id, before=before, limit=PAGE_SIZE + 1)
    shown = found[:PAGE_SIZE]
    return shown, shown[-1].id if len(found) > PAGE_SIZE else None


def history(
    db: Database, device_id: int, *, before: int | None = None, limit: int | None = None
) -> Sequence[DeviceHistory]:
    """Return a device's history, newest first; with ``before``, only entries with a lower id."""
    query = select(DeviceHistory).where(DeviceHistory.device_id == device_id)
    if before is not None:
        query = query.where(DeviceHistory.id < before)
    with db.read() as session:
        return session.scalars(query.order_by(DeviceHistory.id.desc()).limit(limit)).all()


def tokens_used(db: Database, device_id: int) -> Sequence[DeviceToken]:
    """Return the tokens that a device has used, most recently used first."""
    with db.read() as session:
        return session.scalars(
            select(DeviceToken)
            .where(DeviceToken.device_id == device_id)
            .order_by(DeviceToken.last_used_at.desc(), DeviceToken.token_id.desc())
        ).all()


def count_by_status(db: Database) -> Mapping[str, int]:
    """Return the number of devices with each status, from the activity indexes.

    Takes some tenths of a second for a million devices.
    """
    blocked = DeviceActivity.blocked
    count = select(func.count()).select_from(DeviceActivity)
    with db.read() as session:
        return {
            status: session.scalar(count.where(condition)) or 0
            for status, condition in (("active", ~blocked), ("blocked", blocked))
        }


def load(session: Session, device_id: int, *, lock: bool = False) -> Device:
    """Return a device in the transaction of ``session``, and optionally lock its row.

    Raises:
        DeviceNotFound: No device has this id.
    """
    if device_id > MAX_ID:
        raise DeviceNotFound  # database drivers reject integers this large
    query = select(Device).where(Device.id == device_id)
    device = session.scalar(query.with_for_update(key_share=True) if lock else query)
    if device is None:
        raise DeviceNotFound
    return device
