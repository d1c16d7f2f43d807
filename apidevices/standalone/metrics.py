"""``/metrics`` for Prometheus."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

from flask import Blueprint, Flask, current_app, request
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from sqlalchemy.exc import SQLAlchemyError

from apidevices.standalone.disk import Disk, database_disk, disk_of
from apidevices.standalone.exposition import Exposition, Gauges
from apidevices.standalone.process_metrics import ProcessMetrics
from apidevices.toolkit import (
    LOCK_TIMEOUT,
    InsufficientScope,
    Problem,
    TokenInvalid,
    Unavailable,
    bearer_token,
    clock,
    current_state,
    database,
    devices,
    tokens,
)

SCOPE = "metrics:read"

COUNT_AGE = 30.0
"""Seconds for which the number of devices is kept: counting a million takes a moment."""

OUTAGE_GRACE = 3_600.0
"""Seconds for which a token stays valid for ``/metrics`` while the database is unavailable."""

blueprint = Blueprint("metrics", __name__)

_EXTENSION = "apidevices_standalone_metrics"
_queries = ThreadPoolExecutor(1, "apidevices-metrics")


class Scrapes:
    """What one application remembers between scrapes."""

    def __init__(self) -> None:
        self._accepted: dict[bytes, float] = {}  # token digest -> time of the last scrape
        self._devices: Mapping[str, int] = {}
        self._counted_at = 0.0

    def authorize(self) -> bool:
        """Check the token of the current request. Return whether the database is available.

        While it is unavailable, accept tokens that this process has accepted before. Otherwise
        nothing would report the outage.

        Raises:
            Problem: TokenMissing, TokenInvalid, InsufficientScope or Unavailable.
        """
        digest = tokens.digest(bearer_token(request.environ))
        state, now = current_state(), clock.now()
        try:
            token = state.api_tracker.find_token(digest, now)
        except Unavailable:
            if self._accepted.get(digest, -OUTAGE_GRACE) + OUTAGE_GRACE < monotonic():
                raise
            return False
        self._accepted.pop(digest, None)
        if token is None:
            raise TokenInvalid
        if SCOPE not in token.scopes:
            raise InsufficientScope(SCOPE)
        state.activity.record_token_use(token.id, now)
        self._accepted[digest] = monotonic()
        return True

    def count_devices(self) -> Mapping[str, int]:
        """Return the number of devices by status, or nothing if counting takes too long.

        The query has its own thread, so that a database server that hangs blocks only that one.
        """
        if not self._devices or self._counted_at + COUNT_AGE < monotonic():
            count = _queries.submit(devices.count_by_status, database())
            try:
                self._devices = count.result(LOCK_TIMEOUT)
            except (SQLAlchemyError, TimeoutError):
                count.cancel()
                return {}
            self._counted_at = monotonic()
        return self._devices


def init_app(app: Flask) -> None:
    """Add ``/metrics`` to an application."""
    app.extensions[_EXTENSION] = (
        ProcessMetrics(app.extensions["apidevices"]),
        Scrapes(),
    )
    app.register_blueprint(blueprint)


def process_metrics(app: Flask) -> ProcessMetrics:
    """Return the numbers of an application in this process."""
    found: ProcessMetrics = app.extensions[_EXTENSION][0]
    return found


@blueprint.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Return the metrics of all worker processes, in the format that the client prefers.

    A scrape is not tracked: it registers no device, and is not counted as a request.
    """
    scrapes: Scrapes = current_app.extensions[_EXTENSION][1]
    try:
        available = scrapes.authorize()
    except Problem as problem:
        return problem.get_response()
    gauges = Gauges(available, scrapes.count_devices() if available else {}, _disk())
    registry = CollectorRegistry()
    registry.register(Exposition(process_metrics(current_app).totals(), gauges))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return encode(registry), {"Content-Type": content_type, "Cache-Control": "no-store"}


def _disk() -> Disk | None:
    """Return the disk with the SQLite database or, with PostgreSQL, the instance folder."""
    return database_disk(database()) or disk_of(Path(current_app.instance_path))
