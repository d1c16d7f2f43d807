"""The cost of the gate behind nginx, in front of an API without API Devices."""

import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import fleet, goals
from benchmarks.checkouts import PRESENT, Checkout
from benchmarks.context import Run, check, show_progress
from benchmarks.databases import Backend
from benchmarks.load import CONNECTIONS, Load, Requests, raw_request
from benchmarks.processes import Usage, named
from benchmarks.report import Table, median, medians
from harness.proxies import running_proxy
from harness.real_server import ROOT, RealServer

API = (sys.executable, "-m", "benchmarks.applications", "untracked")
WITHOUT = "nginx alone"


@dataclass(frozen=True, slots=True)
class Result:
    """A load through nginx, and the CPU microseconds per request of each program."""

    load: Load
    columns: dict[str, float]


def measure(run: Run) -> Table:
    """Compare the throughput of an API behind nginx with and without the gate."""
    table = Table(
        "nginx: requests per second through nginx",
        notes=[
            f"deploy/nginx.conf of this checkout with one worker, {fleet.CALLERS:,} known devices"
            f" at random, {CONNECTIONS} keep-alive connections.",
            "The API is gunicorn with a view that does nothing. The gate is the standalone"
            " application with default settings. The client, nginx, the API, the gate and the"
            " database share the CPU.",
            "“CPU µs”: user and system time per request of each program. “gate”: without “flush”,"
            " its threads that write the activity.",
        ],
    )
    check(shutil.which("nginx"), "nginx is not installed")
    requests = Requests(
        run.folder / "through-nginx",
        (
            raw_request(device, run.token, "POST" if number % 5 == 0 else "GET")
            for number, device in enumerate(fleet.callers())
        ),
    )
    for backend in run.backends:
        results: dict[str, list[Result]] = defaultdict(list)
        with run.databases(backend, "nginx") as urls:
            for round_ in run.rounds(5):
                for checkout in (None, *run.checkouts):
                    name = f"with the gate of {checkout.name}" if checkout else WITHOUT
                    url = urls[checkout or PRESENT]
                    result = _run_round(run, backend, checkout, url, requests)
                    show_progress(
                        f"{backend.name}, round {round_ + 1}, {name}:"
                        f" {result.load.rate:,.0f} requests/s"
                    )
                    results[name].append(result)
        _add_rows(backend, results, table)
    return table


def _run_round(
    run: Run, backend: Backend, checkout: Checkout | None, url: str, requests: Requests
) -> Result:
    """Start the API, the gate of a checkout, if given, and nginx. Measure them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=run.folder)))
        api = stack.enter_context(RealServer(folder / "api", program=API, cwd=ROOT))
        servers = {"API": api.process.pid}
        gate_port = api.port  # unused without a gate
        if checkout:
            server = checkout.server(folder / "gate", url, {"APIDEVICES_PROXIES": "1"})
            gate = stack.enter_context(server)
            servers["gate"], gate_port = gate.process.pid, gate.port
        overrides = {} if checkout else {"auth_request /_gate;": ""}
        port = stack.enter_context(running_proxy("nginx", gate_port, api.port, overrides))
        servers["nginx"] = named(os.getpid(), "nginx")
        requests.send(port, 1)
        before = {name: Usage.of(pid) for name, pid in servers.items()}
        database = backend.cpu_seconds()
        load = requests.send(port, run.pick(6, 2))
        used = {name: Usage.of(pid) - before[name] for name, pid in servers.items()}
        database = backend.cpu_seconds() - database
        check(not load.failure, load.failure)
    gate_usage = used.get("gate", Usage())
    seconds = {
        "CPU µs: nginx": used["nginx"].cpu,
        "API": used["API"].cpu,
        "gate": gate_usage.cpu - gate_usage.flush,
        "flush": gate_usage.flush,
        "DB": database,
    }
    return Result(load, {name: cpu / load.requests * 1e6 for name, cpu in seconds.items()})


def _add_rows(backend: Backend, results: Mapping[str, Sequence[Result]], table: Table) -> None:
    for name, measured in results.items():
        pairs = zip(measured, results[WITHOUT], strict=True)
        ratio = median([result.load.rate / baseline.load.rate for result, baseline in pairs])
        table.rows.append(
            {
                "database": backend.name,
                "what": name,
                "requests/s": median([result.load.rate for result in measured]),
                "vs. nginx alone": ratio,
                "p50 ms": median([result.load.p50_ms for result in measured]),
                "p99 ms": median([result.load.p99_ms for result in measured]),
                **medians([result.columns for result in measured]),
            }
        )
        if name.endswith(PRESENT.name):
            table.goal_results.append(goals.PROXIED_GATE.evaluate(backend.name, ratio))
