"""Throughput of a whole server with API Devices, no hook and two alternatives."""

import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.util import find_spec
from subprocess import run as run_program
from typing import Any

from sqlalchemy import create_engine, func, select, text

from apidevices import clock
from apidevices.models import DeviceActivity
from benchmarks import fleet, goals
from benchmarks.applications import THREADS, WORKERS, engine_url, orm
from benchmarks.checkouts import PRESENT
from benchmarks.context import BenchmarkFailed, Run, check, show_progress
from benchmarks.databases import Backend
from benchmarks.load import CONNECTIONS, Load, Requests, raw_request
from benchmarks.processes import Usage, children, cpu_seconds
from benchmarks.report import Table, median, medians, second_lowest
from harness.real_server import ROOT, clean_environment

VARIANTS = {
    "untracked": "no hook",
    "tracked": "API Devices",
    "older": "API Devices of {}",
    "orm": "ORM hook",
    "dashboard": "MonitoringDashboard",
}
"""Variant -> name in the table. "older" is the tracked application with the older revision."""

MIN_BALANCE = 0.7
"""Minimum CPU time of the least busy worker, relative to the busiest one. The kernel assigns
keep-alive connections to workers at random, and an uneven assignment halves the throughput."""

MAX_ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class RoundResult:
    """One round of a variant. ``answered`` includes the warm-up requests."""

    load: Load
    answered: int
    server: Usage
    database: float

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the server per request, in all threads of all processes."""
        return self.server.cpu / self.load.requests * 1e6

    @property
    def columns(self) -> dict[str, float]:
        """CPU time and context switches per request."""
        requests = self.load.requests
        return {
            "CPU µs: server": (self.server.cpu - self.server.flush) / requests * 1e6,
            "flush": self.server.flush / requests * 1e6,
            "DB": self.database / requests * 1e6,
            "switches": self.server.switches / requests,
        }


def measure(run: Run) -> Table:
    """Compare the throughput of one API with each hook in interleaved rounds."""
    table = Table(
        "requests: requests per second of a host application",
        notes=[
            f"{fleet.CALLERS:,} known devices at random with all seven headers and a token. 1 in 5"
            f" requests is a POST. {CONNECTIONS} keep-alive connections.",
            f"Each server is gunicorn ({WORKERS} workers of {THREADS} threads, gthread), restarted"
            " for each round. Client, server and database share the CPU.",
            "“CPU µs”: user and system time per request. “server”: all threads of all processes of"
            " the server, except “flush”, its threads that write the activity. “DB”: the"
            " processes of PostgreSQL. CPU time varies less with other load on the machine.",
            "“added CPU µs”: server and flush, minus those without a hook. Of each, the second"
            " lowest of the rounds counts: other load on the machine can only add to it.",
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
    variants = {
        variant: name.format(run.against.name if run.against else "")
        for variant, name in VARIANTS.items()
        if variant != "older" or run.against
    }
    started = clock.now()
    with ExitStack() as stack:
        urls: dict[str, str] = {}
        for variant in variants:
            if variant == "dashboard" and find_spec("flask_monitoringdashboard") is None:
                failures[variant] = "not installed"
                continue
            urls[variant] = stack.enter_context(_database(run, backend, variant))
        for round_ in run.rounds(5):
            for variant, url in urls.items():
                try:
                    result = _run_round(run, backend, variant, url, requests)
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
    for variant, name in variants.items():
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
        **medians([result.columns for result in results[variant]]),
        "added CPU µs": _added_cpu(results, variant),
    }


def _added_cpu(results: Mapping[str, list[RoundResult]], variant: str) -> float:
    """Return the CPU microseconds that a variant adds to a request."""
    with_hook, without = (
        second_lowest([result.cpu_us for result in results[name]])
        for name in (variant, "untracked")
    )
    return with_hook - without


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
    added = _added_cpu(results, "tracked")
    table.goal_results.append(goals.HOST_CPU[backend.name].evaluate(backend.name, added))
    if over_orm is not None:
        table.goal_results.append(goals.SPEEDUP_OVER_ORM.evaluate(backend.name, over_orm))


def _run_round(
    run: Run, backend: Backend, variant: str, url: str, requests: Requests
) -> RoundResult:
    """Measure one round. Repeat it while one worker gets most of the connections."""
    answered = 0
    for _ in range(MAX_ATTEMPTS):
        result, cpu = _attempt(run, backend, variant, url, requests)
        answered += result.answered
        if min(cpu) > MIN_BALANCE * max(cpu):
            break
    return replace(result, answered=answered)


def _attempt(
    run: Run, backend: Backend, variant: str, url: str, requests: Requests
) -> tuple[RoundResult, Sequence[float]]:
    """Start a server and measure it. Return the result and the CPU seconds of each worker."""
    checkout = run.against if variant == "older" and run.against else PRESENT
    application = "tracked" if variant == "older" else variant
    with checkout.host(application, run.folder / variant, url) as server:
        pid = server.process.pid
        warm_up = requests.send(server.port, 1)
        before = {worker: cpu_seconds(worker) for worker in children(pid)}
        usage, database = Usage.of(pid), backend.cpu_seconds()
        load = requests.send(server.port, run.pick(6, 2))
        usage, database = Usage.of(pid) - usage, backend.cpu_seconds() - database
        workers = [cpu_seconds(worker) - start for worker, start in before.items()]
        answered = warm_up.requests + load.requests
        return RoundResult(load, answered, usage, database), workers


@contextmanager
def _database(run: Run, backend: Backend, variant: str) -> Iterator[str]:
    """Create the database of a variant and insert its devices. Yield its URL."""
    show_progress(f"{backend.name}: preparing {variant}")
    if variant == "older" and run.against:
        with run.against.database(backend, variant, run.folder, run.token) as url:
            yield url
        return
    if variant == "tracked":
        with backend.database(variant, fleet.REGISTERED) as url:
            yield url
        return
    url = backend.create(variant)
    try:
        if variant == "orm":
            orm.fill(url, run.token, fleet.callers())
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
    engine = create_engine(engine_url(url))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
