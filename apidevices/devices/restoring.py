"""Give devices the state back that they had before a change."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from blinker import Signal
from sqlalchemy import Row, Table, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from apidevices import signals
from apidevices.audit import Action
from apidevices.database import Database
from apidevices.devices.bulk import Change, Step
from apidevices.devices.records import add_tag_history, block_details
from apidevices.listing.search import fold, search_key, short_key
from apidevices.models import Device, DeviceActivity, DeviceHistory, DeviceTag

_devices = cast(Table, Device.__table__)
_activity = cast(Table, DeviceActivity.__table__)
_tags = cast(Table, DeviceTag.__table__)

States = Mapping[int, Mapping[str, Any]]
"""Id of a device -> its state, as JSON: values of columns by name, times in ISO 8601."""


class _Restore(Change):
    """A change that restores states.

    Args:
        db: The database.
        actor: Who restores them, for the audit log.
        now: The current time.
        states: The states.
    """

    def __init__(self, db: Database, actor: str, now: datetime, states: States) -> None:
        super().__init__(db, actor, now)
        self._states = states


class RestoreName(_Restore):
    """Restores names: ``name``."""

    action = action_for_all = Action.DEVICE_RENAMED
    signal = signals.device_renamed

    def apply(self, session: Session, ids: Sequence[int]) -> Sequence[int]:
        """Rename the devices."""
        self._replaced = {}
        for device in session.scalars(select(Device).where(Device.id.in_(ids))):
            self._replaced[device.id] = device.name
            device.name = self._states[device.id]["name"]
            device.search_key = search_key(device.identifier, device.name, device.aliases)
            device.activity.search_key = short_key(device.search_key)
            session.add(
                DeviceHistory(
                    device_id=device.id,
                    kind="renamed",
                    at=self.now,
                    changes={"name": [self._replaced[device.id], device.name]},
                    actor=self.actor,
                )
            )
        return ids

    def details(self, device: Row[Any] | None = None) -> dict[str, Any]:
        """Return the name that was replaced, and the restored one."""
        if device is None:
            return {}
        return {"old": self._replaced[device.id], "new": self._states[device.id]["name"]}


class RestoreBlock(_Restore):
    """Restores blocks: ``blocked_at``, ``block_reason``, ``blocked_by`` and ``blocked_until``."""

    action, action_for_all = Action.DEVICE_BLOCKED, Action.DEVICES_BLOCKED
    signal = signals.device_blocked

    def apply(self, session: Session, ids: Sequence[int]) -> Sequence[int]:
        """Block the devices as they were blocked before, unless those blocks have ended."""
        ids = [device_id for device_id in ids if not self._has_ended(device_id)]
        connection = session.connection()
        self.db.lock(connection, DeviceActivity.device_id, ids)
        rows = [{"device": device_id, **self._block(device_id)} for device_id in ids]
        if rows:
            columns: dict[str, Any] = {
                name: bindparam(name) for name in rows[0] if name != "device"
            }
            is_row = _devices.c.id == bindparam("device")
            connection.execute(update(_devices).where(is_row).values(columns), rows)
            connection.execute(
                update(_activity)
                .where(_activity.c.device_id == bindparam("device"))
                .values(blocked=True, last_activity_at=bindparam("blocked_at")),
                [{"device": row["device"], "blocked_at": row["blocked_at"]} for row in rows],
            )
        alike = defaultdict(list)
        for row in rows:
            alike[row["block_reason"], row["blocked_until"]].append(row["device"])
        for (reason, until), some in alike.items():
            self._add_history(session, some, block_details(reason, until))
        return ids

    def details(self, device: Row[Any] | None = None) -> dict[str, Any]:
        """Return the reason, and the end if there is one."""
        if device is None:
            return {}
        block = self._block(device.id)
        return block_details(block["block_reason"], block["blocked_until"])

    def _has_ended(self, device_id: int) -> bool:
        until = self._block(device_id)["blocked_until"]
        return until is not None and until <= self.now

    def _block(self, device_id: int) -> dict[str, Any]:
        """Return the columns of a block."""
        state = self._states[device_id]
        times = {
            name: state[name] and datetime.fromisoformat(state[name])
            for name in ("blocked_at", "blocked_until")
        }
        return {name: state[name] for name in ("block_reason", "blocked_by")} | times


class RestoreArchived(_Restore):
    """Archives devices again: ``archived_at``."""

    action, action_for_all = Action.DEVICE_ARCHIVED, Action.DEVICES_ARCHIVED
    signal = signals.device_archived

    def apply(self, session: Session, ids: Sequence[int]) -> Sequence[int]:
        """Archive the devices as of when they were archived before."""
        connection, row = session.connection(), _activity.c
        self.db.lock(connection, DeviceActivity.device_id, ids)
        times = [
            {"device": id_, "at": datetime.fromisoformat(self._states[id_]["archived_at"])}
            for id_ in ids
        ]
        if times:
            change = update(_activity).where(row.device_id == bindparam("device"))
            connection.execute(change.values(archived_at=bindparam("at")), times)
        self._add_history(session, ids)
        return ids


class RestoreTags(_Restore):
    """Restores tags: ``tags``, a list."""

    action, action_for_all = Action.DEVICE_TAGGED, Action.DEVICES_TAGGED
    signal = signals.device_tagged

    def step(self, session: Session, ids: Sequence[int]) -> Step:
        """Remove and add tags, and record both."""
        found = [device.id for device in self._lock(session, ids)]
        present = self._present(session, found)
        self._lost: dict[int, dict[str, str]] = {}
        self._gained: dict[int, dict[str, str]] = {}
        for device_id in found:
            old = {fold(tag): tag for tag in self._states[device_id]["tags"]}
            new = present.get(device_id, {})
            self._lost[device_id] = {key: new[key] for key in new if old.get(key) != new[key]}
            self._gained[device_id] = {key: old[key] for key in old if old[key] != new.get(key)}
        self._write(session)
        for kind, tags in (("untagged", self._lost), ("tagged", self._gained)):
            texts = {device_id: some.values() for device_id, some in tags.items()}
            add_tag_history(self.db, session.connection(), kind, texts, self.now, self.actor)
        if self.records_each:
            for device_id in found:
                self._record(session, device_id)
        changed = [id_ for id_ in found if self._lost[id_] or self._gained[id_]]
        return Step(found, changed)

    def apply(self, _session: Session, ids: Sequence[int]) -> Sequence[int]:
        """Do nothing: ``step`` does everything."""
        return ids

    def details(self, _device: Row[Any] | None = None) -> dict[str, Any]:
        """Return the tags that were removed or added."""
        changes = [*self._lost.values(), *self._gained.values()]
        return {"tags": sorted({tag for tags in changes for tag in tags.values()})}

    def _present(self, session: Session, ids: Sequence[int]) -> dict[int, dict[str, str]]:
        present: dict[int, dict[str, str]] = {}
        query = select(_tags).where(_tags.c.device_id.in_(self.db.id_list(ids)))
        for row in session.execute(query):
            present.setdefault(row.device_id, {})[row.key] = row.tag
        return present

    def _write(self, session: Session) -> None:
        connection, row = session.connection(), _tags.c
        lost = [
            {"device": device_id, "folded": key}
            for device_id, tags in self._lost.items()
            for key in tags
        ]
        gained = [
            {"device_id": device_id, "key": key, "tag": tag}
            for device_id, tags in self._gained.items()
            for key, tag in tags.items()
        ]
        if lost:
            is_lost = (row.device_id == bindparam("device"), row.key == bindparam("folded"))
            connection.execute(delete(_tags).where(*is_lost), lost)
        if gained:
            connection.execute(insert(_tags), gained)

    def _record(self, session: Session, device_id: int) -> None:
        for action, tags in (
            (Action.DEVICE_UNTAGGED, self._lost[device_id]),
            (Action.DEVICE_TAGGED, self._gained[device_id]),
        ):
            if tags:
                self._log(session, action, f"device:{device_id}", tags=list(tags.values()))

    def send(self, _changed: Sequence[int]) -> None:
        """Send the signals for removed and for added tags."""
        self._send(signals.device_untagged, self._lost)
        self._send(signals.device_tagged, self._gained)

    def _send(self, signal: Signal, changes: Mapping[int, Mapping[str, str]]) -> None:
        if not signal.receivers:
            return
        with self.db.read() as session:
            for device_id, tags in changes.items():
                if tags and (device := session.get(Device, device_id)):
                    signals.send_for(signal, device, tags=list(tags.values()))
