"""Write throughput: registrations and changes over HTTP, and flushes of activity."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select

from apidevices import clock
from apidevices.models import DeviceActivity, DeviceHistory
from benchmarks import fleet
from benchmarks.context import Run, check, show_progress
from benchmarks.databases import Backend, application, state_of
from benchmarks.load import CONNECTIONS, Requests, raw_request
from benchmarks.report import Table, median
from harness.real_server import UNLIMITED, RealServer

PATH = "/api/v1/device"

MAX_RATE = 4_000
"""Requests per second to prepare: more than any server here can commit durably."""


def measure(run: Run) -> Table:
    """Measure each kind of write in interleaved rounds."""
    table = Table(
        "writes: writes per second",
        notes=[
            f"Registrations and changes: the real server without limits, {CONNECTIONS}"
            " connections. Each response follows a durable commit.",
            f"Activity: one flush of the activity of {fleet.CALLERS:,} devices, in this process;"
            " devices per second.",
        ],
    )
    for backend in run.backends:
        with backend.database("writes", fleet.REGISTERED) as url:
            _measure(run, backend, url, table)
    return table


def _measure(run: Run, backend: Backend, url: str, table: Table) -> None:
    seconds = run.pick(6, 2)
    kinds: dict[str, tuple[str, Callable[[int], Requests]]] = {
        "registrations": ("registered", lambda round_: _new_devices(run, round_, seconds)),
        "changes": ("changed", lambda round_: _new_versions(run, round_, seconds)),
    }
    rates: dict[str, list[float]] = {name: [] for name in (*kinds, "device activity")}
    for round_ in run.rounds(3):
        variables = {"DATABASE_URL": url, **UNLIMITED}
        with RealServer(run.folder / "writes", variables=variables) as server:
            for name, (kind, make) in kinds.items():
                before = _count_entries(run, url, kind)
                load = make(round_).send(server.port, seconds, in_order=True)
                check(not load.failure, f"{name}: {load.failure}")
                written = _count_entries(run, url, kind) - before
                # The server also completes requests that were in flight when the load ended.
                check(
                    load.requests <= written <= load.requests + CONNECTIONS + 1,
                    f"{load.requests:,} requests, but {written:,} {name}",
                )
                rates[name].append(load.rate)
        rates["device activity"].append(_flush(run, url))
        summary = ", ".join(f"{rate[-1]:,.0f} {name}" for name, rate in rates.items())
        show_progress(f"{backend.name}, round {round_ + 1}: {summary} per second")
    for name, measured in rates.items():
        table.rows.append(
            {
                "database": backend.name,
                "what": name,
                "per second": median(measured),
                "lowest": min(measured),
                "highest": max(measured),
            }
        )


def _new_devices(run: Run, round_: int, seconds: int) -> Requests:
    amount = MAX_RATE * seconds
    first = 1_000_000 * (round_ + 1)
    numbers = range(first, first + amount)
    requests = (raw_request(fleet.device(number), run.token, path=PATH) for number in numbers)
    return Requests(run.folder / "registrations", requests)


def _new_versions(run: Run, round_: int, seconds: int) -> Requests:
    """Return requests from known devices. Each reports a new application version."""
    known = list(fleet.callers())
    requests = (
        raw_request(
            replace(known[number % fleet.CALLERS], application_version=f"{round_}.{number}"),
            run.token,
            path=PATH,
        )
        for number in range(MAX_RATE * seconds)
    )
    return Requests(run.folder / "changes", requests)


def _count_entries(run: Run, url: str, kind: str) -> int:
    """Return the number of history entries of a kind, over all devices."""
    with application(url, run.folder) as app, state_of(app).db.read() as session:
        return session.scalar(select(func.count()).where(DeviceHistory.kind == kind)) or 0


def _flush(run: Run, url: str) -> float:
    """Buffer one request from each device and time the flush. Return devices per second."""
    with application(url, run.folder) as app:
        state = state_of(app)
        with state.db.read() as session:
            ids = session.scalars(
                select(DeviceActivity.device_id).order_by(func.random()).limit(fleet.CALLERS)
            ).all()
            token_id = session.scalar(select(DeviceHistory.token_id).limit(1)) or 0
        activity, now = state.activity, clock.now()
        activity.flush()
        for device_id in ids:
            activity.record_request(device_id, token_id, now, upload=False)
        started = time.perf_counter()
        activity.flush()
        seconds = time.perf_counter() - started
        written = _count_active_at(run, url, now)
        check(written == len(ids), f"{len(ids):,} devices buffered, {written:,} written")
        return len(ids) / seconds


def _count_active_at(run: Run, url: str, moment: datetime) -> int:
    active = select(func.count()).where(DeviceActivity.last_active_at == moment)
    with application(url, run.folder) as app, state_of(app).db.read() as session:
        return session.scalar(active) or 0
