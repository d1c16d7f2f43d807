"""What the extension keeps for one application, and how it is built."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from flask import current_app
from flask.typing import ResponseReturnValue

from apidevices.activity import ActivityBuffer
from apidevices.config import Settings
from apidevices.database import Database
from apidevices.embedding import Slots
from apidevices.identity import IdentityReader
from apidevices.lookup import make_lookup
from apidevices.problems import ProblemDetails
from apidevices.tracking import Tracker

Authorize = Callable[
    [], bool | ResponseReturnValue | Awaitable[bool | ResponseReturnValue | None] | None
]
OnDenied = Callable[
    [ProblemDetails], ResponseReturnValue | Awaitable[ResponseReturnValue | None] | None
]

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
    api: Tracker
    authorize: Authorize
    actor: Callable[[], str]
    tokens: bool
    slots: Slots

    @property
    def uses_tokens(self) -> bool:
        """Whether anything in the current application is called with tokens of ours."""
        registered = current_app.blueprints
        at_gate = "apidevices_gate" in registered and self.settings.gate_tokens
        return self.tokens or at_gate or "apidevices_api" in registered

    on_denied: OnDenied | None

    def close(self) -> None:
        """Write what waits, end the thread and close connections; they come back when needed."""
        self.activity.close()
        self.tracker.close()
        self.gate.close()
        self.api.close()
        self.db.engine.dispose()


def build(
    settings: Settings,
    db: Database,
    *,
    authorize: Authorize,
    actor: Callable[[], str],
    tokens: bool,
    slots: Slots,
    on_denied: OnDenied | None = None,
) -> State:
    """Build the state of an application: a tracker with tokens, and one without where needed."""
    activity = ActivityBuffer(
        db, interval=settings.activity_interval, limit=settings.activity_limit
    )
    trackers = {
        checked: Tracker(
            db,
            make_lookup(db.engine, tokens=checked),
            activity,
            IdentityReader(settings.headers),
            tokens=checked,
            require_device_id=settings.require_device_id,
        )
        for checked in {tokens, settings.gate_tokens, True}
    }
    return State(
        settings=settings,
        db=db,
        activity=activity,
        tracker=trackers[tokens],
        gate=trackers[settings.gate_tokens],
        api=trackers[True],
        authorize=authorize,
        actor=actor,
        tokens=tokens,
        slots=slots,
        on_denied=on_denied,
    )


def current() -> State:
    """Return the state of the current application."""
    state: State = current_app.extensions[EXTENSION]
    return state


def database() -> Database:
    """Return the database of the current application."""
    return current().db
