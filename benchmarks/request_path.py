"""Part 1: throughput of a whole server with API Devices, no hook and two alternatives."""

import math
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from subprocess import run as run_program
from typing import Any

from sqlalchemy import create_engine, func, select, text

from apidevices import clock
from apidevices.models import DeviceActivity
from apidevices.standalone.settings import ServerSettings
from benchmarks import fleet, goals
from benchmarks.applications import orm
from benchmarks.context import BenchmarkFailed, Run, check, show_progress
from benchmarks.databases import Backend
from benchmarks.load import CONNECTIONS, Load, Requests, raw_request
from benchmarks.report import Table, median
from harness.real_server import ROOT, RealServer, clean_environment

VARIANTS = {
    "untracked": "no hook",
    "tracked": "API Devices",
    "orm": "ORM hook",
    "dashboard": "MonitoringDashboard",
}
"""Module -> name in the table."""

MIN_BALANCE = 0.7
"""Minimum CPU time of the least busy worker, relative to the busiest one. The kernel assigns
keep-alive connections to workers at random, and an uneven assignment halves the throughput."""

MAX_ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class RoundResult:
    """One round of a variant. ``answered`` includes the warm-up requests."""

    load: Load
    answered: int
    cpu_us: float


def measure(run: Run) -> Table:
    """Compare the throughput of one API with each hook in interleaved rounds."""
    table = Table(
        "1. Request path: requests per second of a whole server",
        notes=[
            f"{fleet.CALLERS:,} known devices at random with all seven headers and a token. 1 in 5"
            f" requests is a POST. {CONNECTIONS} keep-alive connections.",
            "Each server is gunicorn as the standalone application runs it (gthread, 2 workers, 8"
            " threads, default settings), restarted for each round. Client, server and database"
            " share the CPU.",
            "“CPU” is the CPU time of the server processes, excluding the database. It varies less"
            " with other load on the machine.",
            "On SQLite, all variants commit with the default synchronous=FULL. Rounds in which one"
            " worker got most of the connections are repeated.",
        ],
    )
    requests = Requests(
        run.folder / "ping",
        (
            raw_request(device, run.token, "POST" if number % 5 == 0 else "GET")
            for number, device in enumerate(fleet.callers())
        ),
    )
    for backend in run.backends:
        _compare(run, backend, requests, table)
    return table


def _compare(run: Run, backend: Backend, requests: Requests, table: Table) -> None:
    results: dict[str, list[RoundResult]] = defaultdict(list)
    failures: dict[str, str] = {}
    started = clock.now()
    with ExitStack() as stack:
        urls: dict[str, str] = {}
        for variant in VARIANTS:
            if variant == "dashboard" and find_spec("flask_monitoringdashboard") is None:
                failures[variant] = "not installed"
                continue
            urls[variant] = stack.enter_context(_database(run, backend, variant))
        for round_ in run.rounds(5):
            for variant, url in urls.items():
                try:
                    result = _run_round(run, variant, url, requests)
                except (AssertionError, BenchmarkFailed) as error:
                    failures[variant] = f"failed: {str(error).splitlines()[0]}"
                    continue
                rate = result.load.rate
                show_progress(
                    f"{backend.name}, round {round_ + 1}, {variant}: {rate:,.0f} requests/s"
                )
                results[variant].append(result)
                if result.load.failure:
                    failures[variant] = f"invalid: {result.load.failure}"
        answered = {
            variant: sum(result.answered for result in results[variant]) for variant in urls
        }
        for required in ("untracked", "tracked"):
            check(required not in failures, f"{required}, {backend.name}: {failures.get(required)}")
        _check_activity(urls["tracked"], answered["tracked"], started)
        if stored := _count_stored_by_dashboard(urls.get("dashboard")):
            table.notes.append(
                f"MonitoringDashboard, {backend.name}: {answered['dashboard']:,} requests got a"
                f" response, {stored:,} were stored, including those in flight at the end."
            )
    for variant, name in VARIANTS.items():
        row = {"database": backend.name, "hook": name}
        if reason := failures.get(variant):
            table.rows.append({**row, "note": reason})
        else:
            table.rows.append(row | _summary(results, variant))
    _evaluate_goals(backend, results, failures, table)


def _summary(results: Mapping[str, list[RoundResult]], variant: str) -> dict[str, Any]:
    loads = [result.load for result in results[variant]]
    rates = [load.rate for load in loads]
    return {
        "requests/s": median(rates),
        "lowest": min(rates),
        "highest": max(rates),
        "vs. no hook": _ratio(results, variant, "untracked"),
        "p50 ms": median([load.p50_ms for load in loads]),
        "p99 ms": median([load.p99_ms for load in loads]),
        "CPU µs/request": median([result.cpu_us for result in results[variant]]),
    }


def _ratio(results: Mapping[str, list[RoundResult]], variant: str, baseline: str) -> float | None:
    """Return the median ratio of two variants' rates, compared round by round."""
    pairs = list(zip(results[variant], results[baseline], strict=False))
    return median([a.load.rate / b.load.rate for a, b in pairs]) if pairs else None


def _evaluate_goals(
    backend: Backend,
    results: Mapping[str, list[RoundResult]],
    failures: Mapping[str, str],
    table: Table,
) -> None:
    ratio = _ratio(results, "tracked", "untracked")
    over_orm = None if "orm" in failures else _ratio(results, "tracked", "orm")
    if ratio is not None:
        table.goal_results.append(goals.THROUGHPUT[backend.name].evaluate(backend.name, ratio))
    if over_orm is not None:
        table.goal_results.append(goals.SPEEDUP_OVER_ORM.evaluate(backend.name, over_orm))


def _run_round(run: Run, variant: str, url: str, requests: Requests) -> RoundResult:
    """Measure one round. Repeat it while one worker gets most of the connections."""
    answered = 0
    for _ in range(MAX_ATTEMPTS):
        result, cpu_seconds = _attempt(run, variant, url, requests)
        answered += result.answered
        if min(cpu_seconds) > MIN_BALANCE * max(cpu_seconds):
            break
    return replace(result, answered=answered)


def _attempt(
    run: Run, variant: str, url: str, requests: Requests
) -> tuple[RoundResult, Sequence[float]]:
    """Start a server and measure it. Return the result and the CPU seconds of each worker."""
    program = (sys.executable, "-m", "benchmarks.applications", variant)
    folder = run.folder / variant
    with RealServer(folder, program=program, cwd=ROOT, variables={"DATABASE_URL": url}) as server:
        warm_up = requests.send(server.port, 1)
        before = [_cpu_seconds(pid) for pid in server.workers]
        load = requests.send(server.port, run.pick(6, 2))
        after = [_cpu_seconds(pid) for pid in server.workers]
        cpu_seconds = [end - start for start, end in zip(before, after, strict=True)]
        cpu_us = sum(cpu_seconds) / load.requests * 1e6
        return RoundResult(load, warm_up.requests + load.requests, cpu_us), cpu_seconds


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used so far, in seconds."""
    # The process name in parentheses can contain spaces and parentheses.
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _database(run: Run, backend: Backend, variant: str) -> Iterator[str]:
    """Create the database of a variant and insert its devices. Yield its URL."""
    show_progress(f"{backend.name}: preparing {variant}")
    if variant == "tracked":
        with backend.database(variant, fleet.REGISTERED) as url:
            yield url
        return
    url = backend.create(variant)
    try:
        if variant == "orm":
            orm.fill(ServerSettings(database_url=url), run.token, fleet.callers())
        elif variant == "dashboard":
            # Needs its own process: the dashboard supports only one setup per process, and
            # concurrent setups by the workers would fail.
            program = [sys.executable, "-m", "benchmarks.applications", variant, "prepare"]
            environment = clean_environment(DATABASE_URL=url)
            run_program(program, cwd=ROOT, env=environment, check=True, capture_output=True)
        yield url
    finally:
        backend.drop(url)


def _check_activity(url: str, answered: int, started: datetime) -> None:
    """Check that the number of active devices matches that many random requests."""
    active = select(func.count()).where(DeviceActivity.last_active_at >= started)
    with _connect(url) as connection:
        count = connection.scalar(active)
    expected = fleet.CALLERS * (1 - math.exp(-answered / fleet.CALLERS))
    check(count > 0.9 * expected, f"activity of {count:,} devices was written, not {expected:,.0f}")


_COUNT_STORED = """
SELECT count(*) FROM "Request" WHERE endpoint_id IN
    (SELECT id FROM "Endpoint" WHERE name LIKE 'api.%')
"""


def _count_stored_by_dashboard(url: str | None) -> int | None:
    if url is None:
        return None
    with _connect(url) as connection:
        count: int = connection.scalar(text(_COUNT_STORED))
    return count


@contextmanager
def _connect(url: str) -> Iterator[Any]:
    engine = create_engine(ServerSettings(database_url=url).url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
