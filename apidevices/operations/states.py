"""The state of devices before and after an operation, as JSON."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from apidevices.database import Database
from apidevices.devices import ends
from apidevices.models import Device, DeviceActivity, DeviceTag

State = dict[str, Any]


class Part(Protocol):
    """The part of a device's state that an operation changes."""

    def of(self, device: Device) -> State:
        """Return the state of a device."""

    def lock(
        self, db: Database, session: Session, ids: Collection[int], now: datetime
    ) -> dict[int, State]:
        """Lock devices, and return their states by id, without those that don't exist."""


class _Columns:
    def __init__(self, *names: str) -> None:
        self._names = names

    def of(self, device: Device) -> State:
        return self._state([getattr(device, name) for name in self._names])

    def lock(
        self, db: Database, session: Session, ids: Collection[int], _now: datetime
    ) -> dict[int, State]:
        columns: list[Any] = [getattr(Device, name) for name in self._names]
        query = select(Device.id, *columns).where(Device.id.in_(db.id_list(ids)))
        locked = query.order_by(Device.id).with_for_update(key_share=True)
        return {device_id: self._state(values) for device_id, *values in session.execute(locked)}

    def _state(self, values: Sequence[Any]) -> State:
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in zip(self._names, values, strict=True)
        }


class _Block(_Columns):
    def lock(
        self, db: Database, session: Session, ids: Collection[int], now: datetime
    ) -> dict[int, State]:
        found = super().lock(db, session, ids, now)
        # A block that has ended is not a state to return to.
        if ended := ends.end_in(db, session, found, now):
            found |= super().lock(db, session, ended, now)
        return found


class _Archived:
    def of(self, device: Device) -> State:
        archived_at = device.activity.archived_at
        return {"archived_at": archived_at and archived_at.isoformat()}

    def lock(
        self, db: Database, session: Session, ids: Collection[int], now: datetime
    ) -> dict[int, State]:
        found = sorted(NAME.lock(db, session, ids, now))
        row = DeviceActivity
        # Activity writes bring devices back.
        db.lock(session.connection(), row.device_id, found)
        query = select(row.device_id, row.archived_at).where(row.device_id.in_(db.id_list(found)))
        return {
            device_id: {"archived_at": archived_at and archived_at.isoformat()}
            for device_id, archived_at in session.execute(query)
        }


class _Tags:
    def of(self, device: Device) -> State:
        return {"tags": device.tags}

    def lock(
        self, db: Database, session: Session, ids: Collection[int], now: datetime
    ) -> dict[int, State]:
        found: dict[int, State] = {
            device_id: {"tags": []} for device_id in NAME.lock(db, session, ids, now)
        }
        row = DeviceTag
        query = select(row.device_id, row.tag).where(row.device_id.in_(db.id_list(found)))
        for device_id, tag in session.execute(query.order_by(row.device_id, row.key)):
            found[device_id]["tags"].append(tag)
        return found


BLOCK: Part = _Block("blocked_at", "block_reason", "blocked_by", "blocked_until")
NAME: Part = _Columns("name")
ARCHIVED: Part = _Archived()
TAGS: Part = _Tags()
