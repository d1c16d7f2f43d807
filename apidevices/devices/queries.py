"""Read devices and the tokens they have used."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased, contains_eager

from apidevices import clock
from apidevices.database import Database
from apidevices.devices import ends
from apidevices.errors import DeviceMerged, DeviceNotFound
from apidevices.listing import Count
from apidevices.models import (
    MAX_ID,
    ApiToken,
    Device,
    DeviceActivity,
    DeviceAlias,
    DeviceHistory,
    DeviceToken,
)

MAX_OTHER_DEVICES = 1_000
"""Up to how many other devices that use a token are counted."""


class TokenUse(NamedTuple):
    """A token that a device has used, and how many other devices have used it."""

    token: ApiToken
    first_used_at: datetime
    last_used_at: datetime
    other_devices: Count

    @property
    def token_id(self) -> int:
        """The id of the token."""
        return self.token.id


def get(db: Database, device_id: int, *, follow: bool = False) -> Device:
    """Return a device by its id.

    Args:
        db: The database.
        device_id: The id.
        follow: Whether to return the device that it was merged into, if it was.

    Raises:
        DeviceNotFound: No device has this id.
        DeviceMerged: It was merged into another device.
    """
    with db.read() as session:
        try:
            device = load(session, device_id)
        except DeviceMerged as error:
            if not follow:
                raise
            device = load(session, error.into_id)
    return _with_present_status(db, device)


def by_identifier(db: Database, identifier: str) -> Device:
    """Return a device by an identifier that it sends: its own, or an alias.

    Raises:
        DeviceNotFound: No device has this identifier.
    """
    device = None
    # All identifiers are printable, and drivers reject some strings that aren't.
    if identifier.isprintable():
        with db.read() as session:
            device = session.scalar(select(Device).where(Device.identified_by(identifier)))
    if device is None:
        raise DeviceNotFound(f"No device has the identifier {identifier!r}.")
    return _with_present_status(db, device)


def _with_present_status(db: Database, device: Device) -> Device:
    """Return a device that has been read, without a block that has ended."""
    if device.blocked_until is not None and not device.is_blocked_at(now := clock.now()):
        ends.end_blocks_if_possible(db, now)
        device.clear_block()
    return device


def by_ids(db: Database, ids: Collection[int]) -> Sequence[Device]:
    """Return the devices with these ids, most recently active first, without those not found."""
    position = DeviceActivity.last_activity_at.desc(), DeviceActivity.device_id.desc()
    query = select(Device).join(Device.activity).options(contains_eager(Device.activity))
    with db.read() as session:
        found = query.where(Device.id.in_(db.id_list(ids)))
        return session.scalars(found.order_by(*position)).all()


def tokens_used(db: Database, device_id: int) -> Sequence[TokenUse]:
    """Return the tokens that a device has used, most recently used first."""
    use, other = DeviceToken, aliased(DeviceToken)
    others = (
        select(other.device_id)
        .where(other.token_id == use.token_id, other.device_id != device_id)
        .limit(MAX_OTHER_DEVICES + 1)
        .correlate(use)
        .subquery()
    )
    number = select(func.count()).select_from(others).scalar_subquery()
    query = (
        select(ApiToken, use.first_used_at, use.last_used_at, number)
        .join(use.token)
        .where(use.device_id == device_id)
        .order_by(use.last_used_at.desc(), use.token_id.desc())
    )
    with db.read() as session:
        return [
            TokenUse(
                token,
                first,
                last,
                Count(min(number, MAX_OTHER_DEVICES), exact=number <= MAX_OTHER_DEVICES),
            )
            for token, first, last, number in session.execute(query)
        ]


def last_denied_token(db: Database, device: Device) -> ApiToken | None:
    """Return the token of the last denied request of a device, if there was one."""
    token_id = device.activity.last_denied_token_id
    if token_id is None:
        return None
    with db.read() as session:
        return session.get(ApiToken, token_id)


def latest_tokens(db: Database, device_ids: Iterable[int]) -> Mapping[int, ApiToken]:
    """Return the token that each of some devices used last, by the id of the device."""
    used = select(DeviceToken).where(DeviceToken.device_id.in_(list(device_ids)))
    with db.read() as session:
        return {
            use.device_id: use.token
            for use in session.scalars(used.order_by(DeviceToken.last_used_at))
        }


def latest_addresses(db: Database, device_ids: Iterable[int]) -> Mapping[int, str]:
    """Return from where each of some devices last reported its details, by its id."""
    latest = (
        select(func.max(DeviceHistory.id))
        .where(DeviceHistory.device_id.in_(list(device_ids)), DeviceHistory.address.is_not(None))
        .group_by(DeviceHistory.device_id)
    )
    query = select(DeviceHistory.device_id, DeviceHistory.address)
    with db.read() as session:
        rows = session.execute(query.where(DeviceHistory.id.in_(latest)))
        return {device_id: str(address) for device_id, address in rows}


def count_by_status(db: Database) -> Mapping[str, int]:
    """Return the numbers of active, blocked and archived devices, from the activity indexes.

    Takes some tenths of a second for a million devices.
    """
    blocked, archived_at = DeviceActivity.blocked, DeviceActivity.archived_at
    is_listed = archived_at.is_(None)
    count = select(func.count()).select_from(DeviceActivity)
    with db.read() as session:
        return {
            status: session.scalar(count.where(condition)) or 0
            for status, condition in (
                ("active", and_(~blocked, is_listed)),
                ("blocked", and_(blocked, is_listed)),
                ("archived", archived_at.is_not(None)),
            )
        }


def load(session: Session, device_id: int, *, lock: bool = False) -> Device:
    """Return a device in the transaction of ``session``, and optionally lock its row.

    Raises:
        DeviceNotFound: No device has this id.
        DeviceMerged: It was merged into another device.
    """
    if device_id > MAX_ID:
        raise DeviceNotFound  # database drivers reject integers this large
    query = select(Device).where(Device.id == device_id)
    device = session.scalar(query.with_for_update(key_share=True) if lock else query)
    if device is None:
        into = select(DeviceAlias.device_id).where(DeviceAlias.former_id == device_id)
        into_id = session.scalar(into)
        raise DeviceNotFound if into_id is None else DeviceMerged(device_id, into_id)
    if lock:
        # PostgreSQL has read the tags before it waited for the lock.
        session.refresh(device, ["joined_tags", "joined_aliases"])
    return device
