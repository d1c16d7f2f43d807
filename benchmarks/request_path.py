"""Part 1: what tracking costs a whole server, beside no hook and two other ones."""

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
from benchmarks.context import BenchmarkFailed, Run, check, say
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
"""Module -> what it is called in the table."""

FAIR = 0.7
"""What the worker with the fewest connections does at least, of what the one with the most does:
which of them takes a connection that is kept alive is chance, and halves the throughput."""

ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of a variant; ``answered`` counts the requests of the warm-up, too."""

    load: Load
    answered: int
    cpu_us: float


def measure(run: Run) -> Table:
    """Compare the throughput of the same API with each hook, in interleaved rounds."""
    table = Table(
        "1. Request path: requests a second of a whole server",
        notes=[
            f"{fleet.KNOWN:,} known devices at random with all seven headers and a token, 1 of 5"
            f" requests a POST; {CONNECTIONS} connections kept alive.",
            "Each server is gunicorn as the product runs it (gthread, 2 workers, 8 threads, default"
            " settings), started anew for each round; client, server and database share the"
            " processors.",
            "CPU is that of the server's processes, without the database's; it is less disturbed by"
            " what else the machine does.",
            "All commit with SQLite's default, synchronous=FULL. Rounds in which one worker had"
            " most of the connections are made again.",
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
    loads: dict[str, list[Measured]] = defaultdict(list)
    failures: dict[str, str] = {}
    started = clock.now()
    with ExitStack() as stack:
        urls: dict[str, str] = {}
        for variant in VARIANTS:
            if variant == "dashboard" and find_spec("flask_monitoringdashboard") is None:
                failures[variant] = "not installed"
                continue
            urls[variant] = stack.enter_context(_prepared(run, backend, variant))
        for round_ in run.rounds(5):
            for variant, url in urls.items():
                try:
                    found = _load(run, variant, url, requests)
                except (AssertionError, BenchmarkFailed) as error:
                    failures[variant] = f"failed: {str(error).splitlines()[0]}"
                    continue
                rate = found.load.rate
                say(f"{backend.name}, round {round_ + 1}, {variant}: {rate:,.0f} requests/s")
                loads[variant].append(found)
                if found.load.failure:
                    failures[variant] = f"does not count: {found.load.failure}"
        answered = {variant: sum(found.answered for found in loads[variant]) for variant in urls}
        for needed in ("untracked", "tracked"):
            check(needed not in failures, f"{needed}, {backend.name}: {failures.get(needed)}")
        _check_tracked(urls["tracked"], answered["tracked"], started)
        if stored := _stored_by_the_dashboard(urls.get("dashboard")):
            table.notes.append(
                f"MonitoringDashboard, {backend.name}: {answered['dashboard']:,} requests were"
                f" answered, {stored:,} stored (also those that the end cut off)."
            )
    for variant, name in VARIANTS.items():
        row = {"database": backend.name, "hook": name}
        if reason := failures.get(variant):
            table.rows.append({**row, "note": reason})
        else:
            table.rows.append(row | _numbers(loads, variant))
    _judge(backend, loads, failures, table)


def _numbers(loads: Mapping[str, list[Measured]], variant: str) -> dict[str, Any]:
    found = [measured.load for measured in loads[variant]]
    rates = [load.rate for load in found]
    return {
        "requests/s": median(rates),
        "lowest": min(rates),
        "highest": max(rates),
        "of no hook": _ratio(loads, variant, "untracked"),
        "p50 ms": median([load.p50_ms for load in found]),
        "p99 ms": median([load.p99_ms for load in found]),
        "CPU µs/request": median([measured.cpu_us for measured in loads[variant]]),
    }


def _ratio(loads: Mapping[str, list[Measured]], variant: str, other: str) -> float | None:
    """Return the median, over the rounds, of one rate over another of the same round."""
    pairs = list(zip(loads[variant], loads[other], strict=False))
    return median([mine.load.rate / its.load.rate for mine, its in pairs]) if pairs else None


def _judge(
    backend: Backend, loads: Mapping[str, list[Measured]], failures: Mapping[str, str], table: Table
) -> None:
    share = _ratio(loads, "tracked", "untracked")
    over_orm = None if "orm" in failures else _ratio(loads, "tracked", "orm")
    if share is not None:
        table.verdicts.append(goals.THROUGHPUT[backend.name].judge(backend.name, share))
    if over_orm is not None:
        table.verdicts.append(goals.OVER_ORM.judge(backend.name, over_orm))


def _load(run: Run, variant: str, url: str, requests: Requests) -> Measured:
    """Measure one round; one in which a worker got most of the connections is made again."""
    answered = 0
    for _ in range(ATTEMPTS):
        found, shares = _attempt(run, variant, url, requests)
        answered += found.answered
        if min(shares) > FAIR * max(shares):
            break
    return replace(found, answered=answered)


def _attempt(
    run: Run, variant: str, url: str, requests: Requests
) -> tuple[Measured, Sequence[float]]:
    """Return what was measured, and the processor time of each worker."""
    program = (sys.executable, "-m", "benchmarks.applications", variant)
    folder = run.folder / variant
    with RealServer(folder, program=program, cwd=ROOT, variables={"DATABASE_URL": url}) as server:
        warm_up = requests.send(server.port, 1)
        before = [_cpu_seconds(pid) for pid in server.workers]
        load = requests.send(server.port, run.pick(6, 2))
        after = [_cpu_seconds(pid) for pid in server.workers]
        shares = [end - start for start, end in zip(before, after, strict=True)]
        cpu_us = sum(shares) / load.requests * 1e6
        return Measured(load, warm_up.requests + load.requests, cpu_us), shares


def _cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far."""
    # The name of a process, in brackets, may hold anything.
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _prepared(run: Run, backend: Backend, variant: str) -> Iterator[str]:
    """Make the database of a variant, with the devices that it shall know; yield its URL."""
    say(f"{backend.name}: preparing {variant}")
    if variant == "tracked":
        with backend.database(variant, fleet.KNOWN_IN_ALL) as url:
            yield url
        return
    url = backend.create(variant)
    try:
        if variant == "orm":
            orm.fill(ServerSettings(database_url=url), run.token, fleet.callers())
        elif variant == "dashboard":
            # In a process of its own: it can be set up once in a process, and by one at a time.
            program = [sys.executable, "-m", "benchmarks.applications", variant, "prepare"]
            environment = clean_environment(DATABASE_URL=url)
            run_program(program, cwd=ROOT, env=environment, check=True, capture_output=True)
        yield url
    finally:
        backend.drop(url)


def _check_tracked(url: str, answered: int, started: datetime) -> None:
    """Check that about as many devices were active as so many requests at random make active."""
    active = select(func.count()).where(DeviceActivity.last_active_at >= started)
    with _connected(url) as connection:
        found = connection.scalar(active)
    expected = fleet.KNOWN * (1 - math.exp(-answered / fleet.KNOWN))
    check(found > 0.9 * expected, f"activity of {found:,} devices was written, not {expected:,.0f}")


_STORED = """
SELECT count(*) FROM "Request" WHERE endpoint_id IN
    (SELECT id FROM "Endpoint" WHERE name LIKE 'api.%')
"""


def _stored_by_the_dashboard(url: str | None) -> int | None:
    if url is None:
        return None
    with _connected(url) as connection:
        found: int = connection.scalar(text(_STORED))
    return found


@contextmanager
def _connected(url: str) -> Iterator[Any]:
    engine = create_engine(ServerSettings(database_url=url).url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
