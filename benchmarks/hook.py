"""Part 2: the hook alone, in this process: how long it takes, on what, and its round trips."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from typing import Any

from flask import Flask, Request
from sqlalchemy.engine import make_url

from apidevices import clock
from apidevices.activity import ActivityBuffer
from apidevices.identity import DeviceIdentity, IdentityReader
from apidevices.lookup import FoundDevice, FoundToken, make_lookup
from apidevices.request_hook import current_caller
from apidevices.standalone.settings import ServerSettings
from apidevices.tokens import digest
from apidevices.tracking import Tracker, _changed  # "_changed": it is timed alone
from benchmarks import fleet, goals
from benchmarks.applications import tracked, untracked
from benchmarks.context import BenchmarkFailed, Run, check, say
from benchmarks.databases import Backend, close, state_of
from benchmarks.report import Table, Times
from harness.counting_proxy import counting_proxy

CALLS = 100
"""Calls of each part in a round."""

FLASK, HOOK, CHECK = "Flask without a hook", "Flask with the hook", "Tracker.check"
PARTS = (
    "read the headers",
    "digest the token",
    "look up in the database",
    "compare",
    "note the activity",
)

Environ = dict[str, Any]
Step = Callable[[Environ], float]


def measure(run: Run) -> Table:
    """Time the hook and each of its parts, call by call, in interleaved rounds."""
    table = Table(
        "2. The hook alone: microseconds a request, in one thread of this process",
        notes=[
            f"{fleet.KNOWN:,} known devices, all seven headers, a request that brings nothing new;"
            " activity is written meanwhile by its thread, as in production.",
            "With and without the hook: all that Flask does before the view. “The rest” is"
            " Tracker.check without its parts, by their medians.",
        ],
    )
    for backend in run.backends:
        with backend.database("hook", fleet.KNOWN_IN_ALL) as url:
            environs = [fleet.environ(device, run.token) for device in fleet.callers()]
            _time(run, backend, url, environs, table)
            if backend.name == "PostgreSQL":
                _count(url, environs, table)
    return table


def _time(run: Run, backend: Backend, url: str, environs: list[Environ], table: Table) -> None:
    upcoming = cycle(environs)
    found: dict[str, list[float]] = defaultdict(list)
    with _tracked_app(url) as app:
        steps = _steps(app, run.token)
        for step in steps.values():
            for environ in islice(upcoming, 10 * CALLS):  # warm-up
                step(environ)
        for _ in run.rounds(400, quick=20):
            for name, step in steps.items():
                found[name] += map(step, islice(upcoming, CALLS))
    times = {name: Times.of(durations) for name, durations in found.items()}
    for name, time_ in times.items():
        table.rows.append(
            {
                "database": backend.name,
                "what": f"– {name}" if name in PARTS else name,
                "median µs": time_.p50,
                "p95 µs": time_.p95,
            }
        )
    rest = times[CHECK].p50 - sum(times[name].p50 for name in PARTS)
    table.rows.append({"database": backend.name, "what": "– the rest", "median µs": rest})
    say(f"{backend.name}: {HOOK} {times[HOOK]} µs")
    if backend.name == "SQLite":
        table.verdicts.append(goals.HOOK_ON_SQLITE.judge(backend.name, times[HOOK].p50))


def _steps(app: Flask, token: str) -> dict[str, Step]:
    """Return what is timed: each takes the environment of a request and returns microseconds."""
    state = state_of(app)
    reader, lookup = (
        IdentityReader(state.settings.headers),
        make_lookup(state.db.engine, tokens=True),
    )
    token_digest, now = digest(token), clock.now()
    untracked_app = untracked.create_app(ServerSettings())

    def read(environ: Environ) -> DeviceIdentity:
        return DeviceIdentity(reader.identifier(environ) or "", reader.details(environ))

    def nothing(environ: Environ) -> float:
        with untracked_app.request_context(dict(environ)):
            return _timed(untracked_app.preprocess_request)

    def hook(environ: Environ) -> float:
        with app.request_context(dict(environ)):
            duration = _timed(app.preprocess_request)
            check(current_caller(), "the hook did not let a request through")
            return duration

    def check_alone(environ: Environ) -> float:
        return _timed(partial(state.tracker.check, Request(dict(environ))))

    def find(environ: Environ) -> float:
        return _timed(partial(lookup.find, token_digest, read(environ).identifier, now))

    def found(environ: Environ) -> tuple[FoundToken, FoundDevice]:
        token, device = lookup.find(token_digest, read(environ).identifier, now)
        if token is None or device is None:
            raise BenchmarkFailed("a device is not known")
        return token, device

    def compare(environ: Environ) -> float:
        _, device = found(environ)
        return _timed(partial(_changed, device, read(environ)))

    def note(environ: Environ) -> float:
        token, device = found(environ)
        moment = clock.now()
        return _timed(
            partial(state.activity.record_request, device.id, token.id, moment, upload=False)
        )

    steps = (
        lambda environ: _timed(partial(read, environ)),
        lambda _: _timed(partial(digest, token)),
        find,
        compare,
        note,
    )
    return {FLASK: nothing, HOOK: hook, CHECK: check_alone, **dict(zip(PARTS, steps, strict=True))}


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - started) / 1e3


def _count(url: str, environs: list[Environ], table: Table) -> None:
    """Count the round trips of requests from known devices, on all connections."""
    original = make_url(url)
    check(original.port, "the database has no port")
    with counting_proxy(original.port or 0) as proxy:
        through = original.set(port=proxy.port).render_as_string(hide_password=False)
        with _tracked_app(through) as app:
            db = state_of(app).db
            # So long an interval that nothing is written meanwhile.
            activity = ActivityBuffer(db, interval=3600, limit=fleet.KNOWN)
            tracker = Tracker(
                db,
                make_lookup(db.engine, tokens=True),
                activity,
                IdentityReader(),
                tokens=True,
                require_device_id=False,
            )
            tracker.check(Request(dict(environs[0])))  # connects
            before, open_before = proxy.round_trips, proxy.in_transaction
            check(before, "the proxy saw nothing")
            for environ in environs[:1000]:
                tracker.check(Request(dict(environ)))
            trips = (proxy.round_trips - before) / 1000
            transactions = (proxy.in_transaction - open_before) / 1000
            activity.close()
    table.verdicts += [
        goals.ROUND_TRIPS.judge("PostgreSQL, counted by a proxy", trips),
        goals.TRANSACTIONS.judge("PostgreSQL, counted by a proxy", transactions),
    ]


@contextmanager
def _tracked_app(url: str) -> Iterator[Flask]:
    app = tracked.create_app(ServerSettings(database_url=url))
    try:
        yield app
    finally:
        close(app)
