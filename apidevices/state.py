"""The extension's state for one application, kept in ``app.extensions``."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from flask import current_app
from flask.typing import ResponseReturnValue

from apidevices import overview, stale_rule, storage, upkeep
from apidevices.activity import ActivityBuffer
from apidevices.config import Settings
from apidevices.database import Database
from apidevices.devices import KnownSets, Move, ReportNumbers
from apidevices.embedding import Slots
from apidevices.identity import IdentityReader
from apidevices.limiter import Limiter
from apidevices.listing import finish_collecting
from apidevices.lookup import make_lookup
from apidevices.metrics import Metrics
from apidevices.operations import Runner
from apidevices.problems import ProblemDetails
from apidevices.snapshots import Snapshot
from apidevices.tracking import Tracker
from apidevices.upkeep import Job, Task

Authorize = Callable[
    [], bool | ResponseReturnValue | Awaitable[bool | ResponseReturnValue | None] | None
]
OnDenied = Callable[
    [ProblemDetails], ResponseReturnValue | Awaitable[ResponseReturnValue | None] | None
]

EXTENSION = "apidevices"
"""The key of the state in ``app.extensions``."""


GATE = "apidevices_gate"
"""The key in ``app.extensions`` that marks an application with the gate as middleware."""


@dataclass(frozen=True, slots=True)
class State:
    """The services and callbacks of one application, built by ``APIDevices.init_app``.

    ``tracker`` checks requests to protected views, ``gate_tracker`` those to the gate, and
    ``api_tracker`` those to the management API. ``requires_tokens`` is the argument ``tokens`` of
    ``APIDevices``, and the callbacks are its arguments of the same names. Applications may add
    their own ``upkeep`` tasks, and ``moves`` of their own rows when devices are merged.
    """

    settings: Settings
    requires_tokens: bool
    db: Database
    activity: ActivityBuffer
    metrics: Metrics
    limiter: Limiter
    tracker: Tracker
    gate_tracker: Tracker
    api_tracker: Tracker
    authorize: Authorize
    actor: Callable[[], str]
    on_denied: OnDenied | None
    slots: Slots
    upkeep: list[Task | Job]
    moves: list[Move]
    operations: Runner
    overview: Snapshot
    storage: Snapshot

    @property
    def uses_tokens(self) -> bool:
        """Whether any part of the current application accepts API Devices tokens."""
        registered = current_app.blueprints
        has_gate = "apidevices_gate" in registered or GATE in current_app.extensions
        at_gate = has_gate and self.settings.gate_tokens
        return self.requires_tokens or at_gate or "apidevices_api" in registered

    def close(self) -> None:
        """Flush pending activity, stop all threads and close all idle connections.

        Later requests reopen connections. Their activity is written when the process exits.
        """
        self.operations.close()
        self.overview.close()
        self.storage.close()
        finish_collecting(self.db)
        self.activity.close()
        self.tracker.close()
        self.gate_tracker.close()
        self.api_tracker.close()
        self.db.engine.dispose()


def build(
    settings: Settings,
    db: Database,
    *,
    tokens: bool,
    authorize: Authorize,
    actor: Callable[[], str],
    on_denied: OnDenied | None,
    slots: Slots,
) -> State:
    """Build the state of an application, with a tracker for each kind of request.

    Args:
        settings: The application's settings.
        db: The database that stores the devices.
        tokens: Whether requests to protected views must have an API Devices token.
        authorize: See ``APIDevices``.
        actor: See ``APIDevices``.
        on_denied: See ``APIDevices``.
        slots: The host application's additions to the admin pages.
    """
    metrics = Metrics()
    stale = stale_rule.task(db, settings.archive_days)
    retention = [*upkeep.clock_repair_tasks(), *upkeep.retention_tasks(settings), stale]
    marks = [*upkeep.single_swing_tasks(), *upkeep.replacement_tasks(), *upkeep.twin_tasks()]
    tasks: list[Task | Job] = [*retention, *marks]
    activity = ActivityBuffer(
        db,
        interval=settings.activity_interval,
        limit=settings.activity_limit,
        metrics=metrics,
    )
    required = settings.require_device_id
    lookups = {
        requires_tokens: make_lookup(db, tokens=requires_tokens)
        for requires_tokens in {tokens, settings.gate_tokens, True}
    }

    limiter, known_sets = Limiter(db, metrics), KnownSets(db)
    numbers = ReportNumbers(
        settings.new_devices_per_hour,
        settings.changes_per_hour,
        settings.token_changes_per_hour,
    )

    def tracker(*, tokens: bool, deferred: bool = False, is_gate: bool = False) -> Tracker:
        return Tracker(
            db,
            lookups[tokens],
            activity,
            IdentityReader(settings.headers),
            tokens=tokens,
            deferred=deferred,
            require_device_id=is_gate if required is None else required,
            metrics=metrics,
            limiter=limiter,
            numbers=numbers,
            known_sets=known_sets,
        )

    return State(
        settings=settings,
        requires_tokens=tokens,
        db=db,
        activity=activity,
        metrics=metrics,
        limiter=limiter,
        tracker=tracker(tokens=tokens, deferred=not tokens),
        gate_tracker=tracker(tokens=settings.gate_tokens, is_gate=True),
        api_tracker=tracker(tokens=True),
        authorize=authorize,
        actor=actor,
        on_denied=on_denied,
        slots=slots,
        upkeep=tasks,
        moves=[],
        operations=Runner(db),
        overview=overview.snapshot(db),
        storage=storage.snapshot(db, tasks, settings),
    )


def current() -> State:
    """Return the state of the current application."""
    state: State = current_app.extensions[EXTENSION]
    return state


def database() -> Database:
    """Return the database of the current application."""
    return current().db
