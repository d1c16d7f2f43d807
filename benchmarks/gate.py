"""Part 7: the cost of the gate behind nginx, in front of an API without API Devices."""

import shutil
import sys
from collections import defaultdict
from contextlib import ExitStack

from benchmarks import fleet
from benchmarks.context import Run, check, show_progress
from benchmarks.load import CONNECTIONS, Load, Requests, raw_request
from benchmarks.report import Table, median
from harness.proxies import running_proxy
from harness.real_server import ROOT, RealServer

VARIANTS = {
    "nginx only": {"auth_request /_gate;": ""},
    "nginx with the gate": {},
}
"""Name -> replacements in the nginx configuration."""


def measure(run: Run) -> Table:
    """Compare the throughput of an API behind nginx with and without the gate."""
    table = Table(
        "7. Gate: requests per second through nginx",
        notes=[
            f"deploy/nginx.conf with one worker, {fleet.CALLERS:,} known devices at random,"
            f" {CONNECTIONS} keep-alive connections.",
            "The API is gunicorn with a trivial view. The gate is the standalone application with"
            " default settings. The client, nginx, API, gate and database share the CPU.",
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
    api_program = (sys.executable, "-m", "benchmarks.applications", "untracked")
    for backend in run.backends:
        loads: dict[str, list[Load]] = defaultdict(list)
        with ExitStack() as stack:
            url = stack.enter_context(backend.database("gate", fleet.REGISTERED))
            folder = run.folder / f"gate-{backend.name}"
            folder.mkdir()
            api = stack.enter_context(
                RealServer(folder / "api", program=api_program, cwd=ROOT, variables={})
            )
            variables = {"DATABASE_URL": url, "APIDEVICES_PROXIES": "1"}
            gate = stack.enter_context(RealServer(folder / "gate", variables=variables))
            for round_ in run.rounds(5):
                for name, replacements in VARIANTS.items():
                    with running_proxy("nginx", gate.port, api.port, replacements) as port:
                        requests.send(port, 1)
                        load = requests.send(port, run.pick(6, 2))
                    check(not load.failure, f"{name}: {load.failure}")
                    show_progress(
                        f"{backend.name}, round {round_ + 1}, {name}: {load.rate:,.0f} requests/s"
                    )
                    loads[name].append(load)
        baseline = loads["nginx only"]
        for name, variant_loads in loads.items():
            ratios = [a.rate / b.rate for a, b in zip(variant_loads, baseline, strict=True)]
            table.rows.append(
                {
                    "database": backend.name,
                    "what": name,
                    "requests/s": median([load.rate for load in variant_loads]),
                    "vs. nginx only": median(ratios),
                    "p50 ms": median([load.p50_ms for load in variant_loads]),
                    "p99 ms": median([load.p99_ms for load in variant_loads]),
                }
            )
    return table
