"""What the status line offers on every page: to undo the latest change, or to see its progress."""

from dataclasses import dataclass
from math import ceil

from flask import g, url_for
from sqlalchemy.exc import SQLAlchemyError

from apidevices import clock, operations, state
from apidevices.admin import operation_texts as texts
from apidevices.admin.frame import is_authorized
from apidevices.admin.messages import undoable_in_messages
from apidevices.database import is_unavailable
from apidevices.models import Device, Operation
from apidevices.rendering import environment

_KEY = "_apidevices_offer"
_IS_NEW = "_apidevices_offer_is_new"


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer to undo an operation, or, while it runs, to see its progress.

    ``seconds`` says how much longer it can be undone; None while the operation runs. ``device`` is
    set if a single device has changed.
    """

    operation: Operation
    text: str
    seconds: int | None
    device: Device | None = None

    @property
    def url(self) -> str:
        """Where to undo the operation, or to see its progress."""
        endpoint = ".undo" if self.seconds else ".operation"
        return url_for(f"apidevices{endpoint}", operation_id=self.operation.id)


def offer() -> Offer | None:
    """Return the offer to the current account, if any."""
    if _KEY not in g:
        setattr(g, _KEY, _find_offer())
    found: Offer | None = getattr(g, _KEY)
    return found


def is_new() -> bool:
    """Return whether there is an offer to undo the change that the messages are about.

    The latest change may be another one, which the same account has made in another browser.
    """
    found = offer()
    if found is None or not found.seconds or found.operation.id != undoable_in_messages():
        return False
    setattr(g, _IS_NEW, True)
    return True


def is_in_message() -> bool:
    """Return whether the status message of this response is about the change to undo."""
    return bool(getattr(g, _IS_NEW, False))


def _find_offer() -> Offer | None:
    if not is_authorized():
        return None
    db = state.database()
    now = clock.now()
    try:
        latest = operations.latest(db, state.current().actor(), now)
        device = None if latest is None else operations.device_of(db, latest)
    except SQLAlchemyError as error:
        if not is_unavailable(error):
            raise
        return None  # the status line says that the database is unavailable, or not migrated
    if latest is None:
        return None
    if latest.finished_at is None:
        return Offer(latest, texts.title(latest), None)
    text = texts.title(latest)
    if device is not None:
        text = f"“{device.display_name}” was {texts.words(latest).done}"
    left = latest.finished_at + operations.UNDO_TIME - now
    return Offer(latest, text, ceil(left.total_seconds()), device)


environment.globals.update(
    apidevices_offer=offer,
    apidevices_offer_is_new=is_new,
    apidevices_offer_is_in_message=is_in_message,
    apidevices_is_authorized=is_authorized,
)
