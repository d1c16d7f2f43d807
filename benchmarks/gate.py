"""Decisions of the gate, /verify called directly: rate, latency, CPU time and memory."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import fleet, goals
from benchmarks.checkouts import PRESENT, Checkout
from benchmarks.context import Run, check, show_progress
from benchmarks.databases import Backend
from benchmarks.load import CONNECTIONS, Load, Requests, load_generator, raw_request
from benchmarks.processes import Usage, resident_megabytes
from benchmarks.report import Table, median, medians

PATH = "/verify"


@dataclass(frozen=True, slots=True)
class Measurement:
    """A load at full speed and what it has used.

    Args:
        load: The load.
        server: What the server's processes used.
        database: CPU seconds of the processes of the database.
        memory: Resident megabytes of the largest process of the server, after the load.
    """

    load: Load
    server: Usage
    database: float
    memory: float

    def microseconds(self, seconds: float) -> float:
        """Return CPU seconds of the load as microseconds per request."""
        return seconds / self.load.requests * 1e6

    @property
    def columns(self) -> dict[str, float]:
        """CPU time and context switches per request."""
        return {
            "CPU µs: server": self.microseconds(self.server.cpu - self.server.flush),
            "flush": self.microseconds(self.server.flush),
            "DB": self.microseconds(self.database),
            "switches": self.server.switches / self.load.requests,
        }


@dataclass(frozen=True, slots=True)
class Round:
    """The gate at full speed and at half of that."""

    full: Measurement
    half: Load


Results = Mapping[str, Sequence[Round]]


def measure(run: Run) -> Table:
    """Measure the gate of each checkout in interleaved rounds."""
    table = Table(
        "gate: decisions of /verify, without a proxy",
        notes=[
            f"The standalone application with default settings, restarted for each round."
            f" {fleet.CALLERS:,} known devices at random, every fifth with X-Original-Method: POST."
            f" {CONNECTIONS} keep-alive connections. Client, server and database share the CPU.",
            "Medians of the rounds. The ratio is the median of the rounds' ratios.",
            "“p50 at half”, “p99 at half”: a constant rate, half of the decisions per second of the"
            " same round. A duration starts when the request was due.",
            "“CPU µs”: user and system time per decision. “server”: all threads of all processes of"
            " the server, except “flush”, its threads that write the activity. “DB”: the"
            " processes of PostgreSQL, for decisions and for the activity.",
            "“switches”: context switches of the server per decision. “MB”: resident memory of its"
            " largest process, after the load.",
        ],
    )
    requests = gate_requests(run)
    for backend in run.backends:
        results: dict[str, list[Round]] = defaultdict(list)
        with run.databases(backend, "gate") as urls:
            for round_ in run.rounds(5):
                for checkout, url in urls.items():
                    result = _run_round(run, backend, checkout, url, requests)
                    show_progress(
                        f"{backend.name}, round {round_ + 1}, {checkout.name}:"
                        f" {result.full.load.rate:,.0f} decisions/s"
                    )
                    results[checkout.name].append(result)
        _add_rows(backend, results, run.against, table)
        _evaluate_goals(backend, results, run.against, table)
        _note_load_generators(backend, results, table)
    return table


def gate_requests(run: Run) -> Requests:
    """Return the requests that a proxy would send to the gate."""
    return Requests(
        run.folder / "verify",
        (
            raw_request(
                device,
                run.token,
                path=PATH,
                more={
                    "X-Original-Method": "POST" if number % 5 == 0 else "GET",
                    "X-Original-URI": "/api/v1/ping",
                },
            )
            for number, device in enumerate(fleet.callers())
        ),
    )


def measure_load(
    backend: Backend, requests: Requests, port: int, pid: int, seconds: float
) -> Measurement:
    """Send a load at full speed to a server. ``pid`` is the server's first process.

    Raises:
        BenchmarkFailed: A request failed.
    """
    before, database = Usage.of(pid), backend.cpu_seconds()
    load = requests.send(port, seconds)
    server = Usage.of(pid) - before
    check(not load.failure, load.failure)
    return Measurement(load, server, backend.cpu_seconds() - database, resident_megabytes(pid))


def _run_round(
    run: Run, backend: Backend, checkout: Checkout, url: str, requests: Requests
) -> Round:
    """Start a server and measure it."""
    seconds = run.pick(6, 2)
    with checkout.server(run.folder / f"gate-{checkout.slug}", url) as server:
        requests.send(server.port, 1)
        full = measure_load(backend, requests, server.port, server.process.pid, seconds)
        half = requests.send_at(full.load.rate / 2, server.port, seconds)
        check(not half.failure, half.failure)
        return Round(full, half)


def _add_rows(backend: Backend, results: Results, against: Checkout | None, table: Table) -> None:
    for name, rounds in results.items():
        loads = [result.full.load for result in rounds]
        row: dict[str, Any] = {
            "database": backend.name,
            "what": name,
            "decisions/s": median([load.rate for load in loads]),
            "lowest": min(load.rate for load in loads),
        }
        if against:
            row[f"vs. {against.name}"] = _speedup(results, name, against.name)
        row |= {
            "p50 ms": median([load.p50_ms for load in loads]),
            "p99 ms": median([load.p99_ms for load in loads]),
            "p50 at half": median([result.half.p50_ms for result in rounds]),
            "p99 at half": median([result.half.p99_ms for result in rounds]),
        }
        row |= medians([result.full.columns for result in rounds])
        table.rows.append(row | {"MB": median([result.full.memory for result in rounds])})


def _speedup(results: Results, name: str, baseline: str) -> float:
    """Return the median ratio of two checkouts' rates, compared round by round."""
    pairs = zip(results[name], results[baseline], strict=True)
    return median([a.full.load.rate / b.full.load.rate for a, b in pairs])


def _evaluate_goals(
    backend: Backend, results: Results, against: Checkout | None, table: Table
) -> None:
    half = median([result.half.p99_ms for result in results[PRESENT.name]])
    table.goal_results.append(goals.GATE_P99_AT_HALF_LOAD.evaluate(backend.name, half))
    if against and against.commit.startswith(goals.BASELINE):
        speedup = _speedup(results, PRESENT.name, against.name)
        for goal in (goals.GATE_SPEEDUP[backend.name], goals.GATE_SPEEDUP_MOONSHOT):
            table.goal_results.append(goal.evaluate(backend.name, speedup))


def _note_load_generators(backend: Backend, results: Results, table: Table) -> None:
    """Note how much CPU time the load generators took from the server."""
    for name, rounds in results.items():
        full = median([result.full.load.generator_cpu for result in rounds])
        half = median([result.half.generator_cpu for result in rounds])
        late = median([result.half.late_p99_ms for result in rounds])
        table.notes.append(
            f"{backend.name}, {name}: {load_generator()} used {full:.0%} of a core at full speed,"
            f" and the sender with a constant rate {half:.0%} at half speed. It sent 99% of the"
            f" requests within {late:.2g} ms of the moment when they were due and a connection was"
            " free. The durations include that delay."
        )
