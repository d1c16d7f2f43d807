"""Part 7: what the gate costs, through nginx, in front of an API that knows nothing of it."""

import shutil
import sys
from collections import defaultdict
from contextlib import ExitStack

from benchmarks import fleet
from benchmarks.context import Run, check, say
from benchmarks.load import CONNECTIONS, Load, Requests, raw_request
from benchmarks.report import Table, median
from harness.proxies import running_proxy
from harness.real_server import ROOT, RealServer

VARIANTS = {
    "nginx alone": {"auth_request /_gate;": ""},
    "nginx and the gate": {},
}
"""What it is called -> what the configuration says instead."""


def measure(run: Run) -> Table:
    """Compare the throughput of an API behind nginx, with the gate and without, interleaved."""
    table = Table(
        "7. Gate: requests a second through nginx",
        notes=[
            f"deploy/nginx.conf with one worker; {fleet.KNOWN:,} known devices at random,"
            f" {CONNECTIONS} connections kept alive.",
            "The API is gunicorn with a view that does nothing, the gate is the product with its"
            " default settings; client, nginx, API, gate and database share the processors.",
        ],
    )
    check(shutil.which("nginx"), "there is no nginx")
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
            url = stack.enter_context(backend.database("gate", fleet.KNOWN_IN_ALL))
            folder = run.folder / f"gate-{backend.name}"
            folder.mkdir()
            api = stack.enter_context(
                RealServer(folder / "api", program=api_program, cwd=ROOT, variables={})
            )
            variables = {"DATABASE_URL": url, "APIDEVICES_PROXIES": "1"}
            gate = stack.enter_context(RealServer(folder / "gate", variables=variables))
            for round_ in run.rounds(5):
                for number, (name, instead) in enumerate(VARIANTS.items()):
                    proxy = folder / f"nginx-{round_}-{number}"
                    proxy.mkdir()
                    with running_proxy("nginx", proxy, gate.port, api.port, instead) as port:
                        requests.send(port, 1)
                        load = requests.send(port, run.pick(6, 2))
                    check(not load.failure, f"{name}: {load.failure}")
                    say(f"{backend.name}, round {round_ + 1}, {name}: {load.rate:,.0f} requests/s")
                    loads[name].append(load)
        alone = loads["nginx alone"]
        for name, found in loads.items():
            shares = [mine.rate / its.rate for mine, its in zip(found, alone, strict=True)]
            table.rows.append(
                {
                    "database": backend.name,
                    "what": name,
                    "requests/s": median([load.rate for load in found]),
                    "of nginx alone": median(shares),
                    "p50 ms": median([load.p50_ms for load in found]),
                    "p99 ms": median([load.p99_ms for load in found]),
                }
            )
    return table
