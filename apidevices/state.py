"""What the extension keeps for one application."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import current_app

from apidevices.activity import ActivityBuffer
from apidevices.config import Settings
from apidevices.database import Database
from apidevices.embedding import Slots
from apidevices.tracking import Tracker

EXTENSION = "apidevices"
"""The key of ``app.extensions`` under which it lies."""


@dataclass(frozen=True, slots=True)
class State:
    """Everything that belongs to one application, made by ``APIDevices.init_app``."""

    settings: Settings
    db: Database
    activity: ActivityBuffer
    tracker: Tracker
    gate: Tracker
    authorize: Callable[[], bool]
    actor: Callable[[], str]
    tokens: bool
    slots: Slots

    def close(self) -> None:
        """Write what waits, end the thread and close connections; they come back when needed."""
        self.activity.close()
        self.tracker.close()
        self.gate.close()
        self.db.engine.dispose()


def current() -> State:
    """Return the state of the current application."""
    state: State = current_app.extensions[EXTENSION]
    return state


def database() -> Database:
    """Return the database of the current application."""
    return current().db
