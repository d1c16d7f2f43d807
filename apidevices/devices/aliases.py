"""Aliases of devices: the identifiers of devices that were merged into them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select

from apidevices import audit
from apidevices.database import Database
from apidevices.devices import ends
from apidevices.devices.changes import Check, allow
from apidevices.devices.queries import load
from apidevices.errors import AliasNotFound, Conflict
from apidevices.listing.search import search_key, short_key
from apidevices.models import Device, DeviceAlias, DeviceHistory


def aliases(db: Database, device_id: int) -> Sequence[DeviceAlias]:
    """Return the aliases of a device, oldest merge first."""
    row = DeviceAlias
    query = select(row).where(row.device_id == device_id)
    with db.read() as session:
        return session.scalars(query.order_by(row.merged_at, row.identifier)).all()


def remove_alias(
    db: Database,
    device_id: int,
    identifier: str,
    *,
    actor: str,
    now: datetime,
    check: Check = allow,
) -> Device:
    """Remove an alias of a device: the next request with it registers a new device.

    What the merge moved stays with the device.

    Raises:
        DeviceNotFound: No device has this id.
        AliasNotFound: The device has no such alias.
        Conflict: The device is blocked. The new device would not be.
    """
    with db.write() as session:
        device = load(session, device_id, lock=True)
        if ends.end_in(db, session, [device_id], now):
            session.refresh(device)
        check(device)
        if identifier not in device.aliases:
            raise AliasNotFound(f"The device has no alias {identifier!r}.")
        if device.blocked_at is not None:
            raise Conflict(
                "The device is blocked. Its next request with this identifier would register a new"
                " device, which is not blocked. Unblock the device first."
            )
        session.connection().execute(
            delete(DeviceAlias).where(DeviceAlias.identifier == identifier)
        )
        remaining = [alias for alias in device.aliases if alias != identifier]
        device.search_key = search_key(device.identifier, device.name, remaining)
        device.activity.search_key = short_key(device.search_key)
        session.add(
            DeviceHistory(
                device_id=device_id,
                kind="alias_removed",
                at=now,
                changes={},
                actor=actor,
                details={"identifier": identifier},
            )
        )
        audit.record(
            session,
            audit.Action.ALIAS_REMOVED,
            f"device:{device_id}",
            actor=actor,
            at=now,
            identifier=identifier,
        )
        session.flush()
        session.refresh(device, ["joined_aliases"])
    return device
