"""The request hook in this process: its time by step, and its round trips."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from typing import Any

from flask import Flask
from sqlalchemy.engine import make_url

from apidevices import clock
from apidevices.activity import ActivityBuffer
from apidevices.identity import DeviceIdentity, IdentityReader
from apidevices.lookup import FoundDevice, FoundToken, make_lookup
from apidevices.request_hook import current_caller
from apidevices.tokens import digest
from apidevices.tracking import Tracker
from benchmarks import fleet, goals
from benchmarks.applications import tracked, untracked
from benchmarks.context import BenchmarkFailed, Run, check, show_progress
from benchmarks.databases import Backend, close, state_of
from benchmarks.report import Table, Times
from harness.counting_proxy import counting_proxy

CALLS = 100
"""Number of calls of each step per round."""

FLASK, HOOK, CHECK = "Flask without a hook", "Flask with the hook", "Tracker.check"
STEPS = (
    "parse the headers",
    "hash the token",
    "database lookup",
    "compare the details",
    "buffer the activity",
)

Environ = dict[str, Any]
Step = Callable[[Environ], float]


def measure(run: Run) -> Table:
    """Time the hook and each of its steps in interleaved rounds."""
    table = Table(
        "hook: microseconds per request, in one thread of this process",
        notes=[
            f"{fleet.CALLERS:,} known devices send all seven headers, unchanged."
            " The activity thread writes as in production.",
            "“Flask with the hook” and “Flask without a hook”: everything that Flask does before it"
            " calls the view."
            " “Other”: median of Tracker.check minus the medians of its steps.",
        ],
    )
    for backend in run.backends:
        with backend.database("hook", fleet.REGISTERED) as url:
            environs = [fleet.environ(device, run.token) for device in fleet.callers()]
            _measure_steps(run, backend, url, environs, table)
            if backend.name == "PostgreSQL":
                _count_round_trips(url, environs, table)
    return table


def _measure_steps(
    run: Run, backend: Backend, url: str, environs: list[Environ], table: Table
) -> None:
    upcoming = cycle(environs)
    durations: dict[str, list[float]] = defaultdict(list)
    with _tracked_app(url) as app:
        steps = _steps(app, run.token)
        for step in steps.values():
            for environ in islice(upcoming, 10 * CALLS):  # warm-up
                step(environ)
        for _ in run.rounds(400, quick=20):
            for name, step in steps.items():
                durations[name] += map(step, islice(upcoming, CALLS))
    times = {name: Times.of(values) for name, values in durations.items()}
    for name, time_ in times.items():
        table.rows.append(
            {
                "database": backend.name,
                "what": f"– {name}" if name in STEPS else name,
                "median µs": time_.p50,
                "p95 µs": time_.p95,
            }
        )
    other = times[CHECK].p50 - sum(times[name].p50 for name in STEPS)
    table.rows.append({"database": backend.name, "what": "– other", "median µs": other})
    show_progress(f"{backend.name}: {HOOK} {times[HOOK]} µs")
    if backend.name == "SQLite":
        table.goal_results.append(goals.HOOK_TIME_ON_SQLITE.evaluate(backend.name, times[HOOK].p50))


def _steps(app: Flask, token: str) -> dict[str, Step]:
    """Return the timed steps. Each takes a WSGI environment and returns microseconds."""
    state = state_of(app)
    reader = IdentityReader(state.settings.headers)
    lookup = make_lookup(state.db, tokens=True)
    token_digest, now = digest(token), clock.now()
    untracked_app = untracked.create_app()

    def parse(environ: Environ) -> DeviceIdentity:
        return DeviceIdentity(reader.identifier(environ) or "", reader.details(environ))

    def without_hook(environ: Environ) -> float:
        with untracked_app.request_context(dict(environ)):
            return _timed(untracked_app.preprocess_request)

    def with_hook(environ: Environ) -> float:
        with app.request_context(dict(environ)):
            duration = _timed(app.preprocess_request)
            check(current_caller(), "the hook denied a request")
            return duration

    def tracker_check(environ: Environ) -> float:
        return _timed(partial(state.tracker.check, dict(environ)))

    def look_up(environ: Environ) -> float:
        return _timed(partial(lookup.find, token_digest, parse(environ).identifier, now))

    def looked_up(environ: Environ) -> tuple[FoundToken, FoundDevice]:
        token, device = lookup.find(token_digest, parse(environ).identifier, now)
        if token is None or device is None:
            raise BenchmarkFailed("a token or device is missing from the database")
        return token, device

    def compare(environ: Environ) -> float:
        _, device = looked_up(environ)
        return _timed(partial(device.differs_from, parse(environ).details))

    def buffer_activity(environ: Environ) -> float:
        token, device = looked_up(environ)
        moment = clock.now()
        return _timed(
            partial(state.activity.record_request, device.id, token.id, moment, upload=False)
        )

    steps = (
        lambda environ: _timed(partial(parse, environ)),
        lambda _: _timed(partial(digest, token)),
        look_up,
        compare,
        buffer_activity,
    )
    return {
        FLASK: without_hook,
        HOOK: with_hook,
        CHECK: tracker_check,
        **dict(zip(STEPS, steps, strict=True)),
    }


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - started) / 1e3


def _count_round_trips(url: str, environs: list[Environ], table: Table) -> None:
    """Count round trips and transactions per request from known devices."""
    original = make_url(url)
    check(original.port, "the database has no port")
    with counting_proxy(original.port or 0) as proxy:
        proxied_url = original.set(port=proxy.port).render_as_string(hide_password=False)
        with _tracked_app(proxied_url) as app:
            db = state_of(app).db
            # With this interval, no activity is written during the measurement.
            activity = ActivityBuffer(db, interval=3600, limit=fleet.CALLERS)
            tracker = Tracker(
                db,
                make_lookup(db, tokens=True),
                activity,
                IdentityReader(),
                tokens=True,
                require_device_id=False,
            )
            tracker.check(environs[0])  # opens the connection
            before, open_before = proxy.round_trips, proxy.in_transaction
            check(before, "the proxy counted no round trips")
            for environ in environs[:1000]:
                tracker.check(environ)
            trips = (proxy.round_trips - before) / 1000
            transactions = (proxy.in_transaction - open_before) / 1000
            activity.close()
    table.goal_results += [
        goals.ROUND_TRIPS.evaluate("PostgreSQL, counted by a proxy", trips),
        goals.TRANSACTIONS.evaluate("PostgreSQL, counted by a proxy", transactions),
    ]


@contextmanager
def _tracked_app(url: str) -> Iterator[Flask]:
    app = tracked.create_app(url)
    try:
        yield app
    finally:
        close(app)
