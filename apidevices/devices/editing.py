"""Change one device in a transaction, with its entries in audit log and history, and signals."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from blinker import Signal
from sqlalchemy.orm import Session

from apidevices import audit, signals
from apidevices.audit import Action
from apidevices.database import Database
from apidevices.devices.changes import Check
from apidevices.devices.queries import load
from apidevices.models import Device, DeviceHistory


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one device that is in progress. The device is locked."""

    db: Database
    session: Session
    device: Device
    actor: str
    now: datetime
    _to_send: list[Callable[[], None]] = field(default_factory=list)

    def record(self, action: Action, signal: Signal, **details: Any) -> None:
        """Add entries to audit log and history, and send the signal after the commit.

        The details are those of the audit log: the history has ``tags``, or ``old`` and ``new``
        as the change of the name.
        """
        subject = f"device:{self.device.id}"
        audit.record(self.session, action, subject, actor=self.actor, at=self.now, **details)
        self.session.add(
            DeviceHistory(
                device_id=self.device.id,
                kind=action.value.removeprefix("device."),
                at=self.now,
                changes={"name": [details["old"], details["new"]]} if "new" in details else {},
                actor=self.actor,
                details={"tags": details["tags"]} if "tags" in details else None,
            )
        )
        tags = {"tags": details["tags"]} if "tags" in details else {}
        self._to_send.append(partial(signals.send, signal, lambda: self.device, **tags))

    def send(self) -> None:
        """Send the signals."""
        for send in self._to_send:
            send()


@contextmanager
def editing(
    db: Database,
    device_id: int,
    *,
    actor: str,
    now: datetime,
    check: Check,
) -> Iterator[Edit]:
    """Lock a device for the block, commit what the block changes and send its signals.

    Args:
        db: The database.
        device_id: The id of the device.
        actor: Who changes the device, for the audit log.
        now: The current time.
        check: Called with the locked device; raises an exception to prevent the change.

    Raises:
        DeviceNotFound: No device has this id.
    """
    with db.write() as session:
        device = load(session, device_id, lock=True)
        check(device)
        edit = Edit(db, session, device, actor, now)
        yield edit
    edit.send()
