"""Differences between starts of the server: decisions per second of many fresh servers."""

from collections import defaultdict
from collections.abc import Sequence

from benchmarks import fleet, goals
from benchmarks.checkouts import PRESENT
from benchmarks.context import Run, show_progress
from benchmarks.databases import Backend
from benchmarks.gate import Measurement, gate_requests, measure_load
from benchmarks.load import CONNECTIONS
from benchmarks.report import Table, median


def measure(run: Run) -> Table:
    """Start the server again and again, and measure each one briefly."""
    runs, seconds = run.requested_rounds or run.pick(20, 3), run.pick(3, 1)
    table = Table(
        f"stability: decisions per second of {runs} fresh servers",
        notes=[
            f"The standalone application with default settings, started anew for each run of"
            f" {seconds} s, after a warm-up of 1 s. {fleet.CALLERS:,} known devices at random call"
            f" /verify over {CONNECTIONS} keep-alive connections.",
            "A run that is slow because the server is in a bad mode needs more CPU time and context"
            " switches per decision. A run that is slow because of other load on the machine"
            " doesn't.",
        ],
    )
    requests = gate_requests(run)
    for backend in run.backends:
        results: dict[str, list[Measurement]] = defaultdict(list)
        with run.databases(backend, "stability") as urls:
            for number in range(runs):
                for checkout, url in urls.items():
                    instance = run.folder / f"stability-{checkout.slug}"
                    with checkout.server(instance, url) as server:
                        pid = server.process.pid
                        requests.send(server.port, 1)
                        result = measure_load(backend, requests, server.port, pid, seconds)
                    show_progress(
                        f"{backend.name}, run {number + 1}, {checkout.name}:"
                        f" {result.load.rate:,.0f} decisions/s"
                    )
                    results[checkout.name].append(result)
        for name, measurements in results.items():
            _add_row(backend, name, measurements, table)
    return table


def _add_row(
    backend: Backend, name: str, measurements: Sequence[Measurement], table: Table
) -> None:
    slowest = min(measurements, key=lambda result: result.load.rate)
    middle = median([result.load.rate for result in measurements])
    ratio = slowest.load.rate / middle
    usual = [result.columns for result in measurements]
    table.rows.append(
        {
            "database": backend.name,
            "what": name,
            "decisions/s": middle,
            "slowest": slowest.load.rate,
            "fastest": max(result.load.rate for result in measurements),
            "slowest / median": ratio,
            "CPU µs": median([row["CPU µs: server"] for row in usual]),
            "CPU µs in slowest": slowest.columns["CPU µs: server"],
            "switches": median([row["switches"] for row in usual]),
            "switches in slowest": slowest.columns["switches"],
        }
    )
    if name == PRESENT.name:
        table.goal_results.append(goals.SLOWEST_RUN.evaluate(backend.name, ratio))
