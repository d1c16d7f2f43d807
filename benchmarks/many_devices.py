"""The API while an administrator tags, blocks and exports many devices: latency and memory."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from benchmarks import fleet, goals
from benchmarks.context import Run, check, show_progress
from benchmarks.databases import Backend
from benchmarks.load import Load, Requests, raw_request
from benchmarks.processes import memory_of
from benchmarks.report import Table, median
from harness.administrator import SignedIn
from harness.real_server import RealServer

RATE = 100
"""API requests per second."""

_LIST = "/settings/api-devices"


def measure(run: Run) -> Table:
    """Measure the API alone, and while operations and exports run."""
    changed, exported = run.pick((100_000, 1_000_000), (12_000, 20_000))
    table = Table(
        "many devices: the API while an administrator changes or exports them",
        notes=[
            f"GET /api/v1/device of known devices, {RATE} times per second, on a server with 2"
            " workers. A duration starts when the request was due.",
            "“tag”, “block” and “undo” are operations of the pages, in the background. “seconds”:"
            " from the confirmation until the operation has finished.",
            "“growth MB”: how much the largest process of the server grows, looked up every 20 ms.",
            "“alone” is measured before and after each of the others.",
        ],
    )
    requests = Requests(
        run.folder / "device",
        (raw_request(device, run.token, path="/api/v1/device") for device in fleet.callers()),
    )
    for backend in run.backends:
        with backend.database("many_devices", changed) as url:
            measured = _Measured(run, backend, requests, changed, table)
            with measured.server(url) as admin:
                measured.row("tag", lambda: _operate(admin, "tag", changed, tag="Benchmark"))
                measured.row("block", lambda: _operate(admin, "block", changed))
        url = backend.shared_database(exported)
        measured = _Measured(run, backend, requests, exported, table)
        with measured.server(url) as admin:
            for extension in ("csv", "json"):
                measured.row(extension, partial(_export, admin, extension), is_export=True)
    return table


class _Measured:
    """Measures one server, and adds rows to the table."""

    def __init__(
        self, run: Run, backend: Backend, requests: Requests, devices: int, table: Table
    ) -> None:
        self._run = run
        self._backend = backend
        self._requests = requests
        self._devices = devices
        self._table = table
        self._seconds = run.pick(10, 2)

    @contextmanager
    def server(self, url: str) -> Iterator[SignedIn]:
        variables = {"DATABASE_URL": url, "WEB_CONCURRENCY": "2"}
        folder = self._run.folder / f"many-{self._backend.name}-{self._devices}"
        with RealServer(folder, variables=variables) as self._server:
            admin = SignedIn(self._server)
            self._requests.send(self._server.port, 1)
            self._requests.send_at(RATE, self._server.port, 2)
            yield admin

    def row(self, what: str, work: Callable[[], object], *, is_export: bool = False) -> None:
        """Measure the API before, during and after some work."""
        before = self._load()
        loads: list[Load] = []
        with ThreadPoolExecutor(1) as pool, memory_of(self._server.process.pid) as sizes:
            started = time.monotonic()
            future = pool.submit(work)
            while not future.done():
                loads.append(self._load())
            future.result()
            seconds = time.monotonic() - started
        after = self._load()
        alone = median([before.p99_ms, after.p99_ms])
        during = median([load.p99_ms for load in loads])
        growth = max(sizes) - sizes[0]
        subject = f"{self._backend.name}, {what}"
        show_progress(f"{subject}: p99 {alone:.3g} ms alone, {during:.3g} ms; {growth:.3g} MB")
        self._table.rows.append(
            {
                "database": self._backend.name,
                "what": what,
                "devices": self._devices,
                "seconds": seconds,
                "p99 ms alone": alone,
                "p99 ms": during,
                "p50 ms alone": median([before.p50_ms, after.p50_ms]),
                "p50 ms": median([load.p50_ms for load in loads]),
                "growth MB": growth,
            }
        )
        self._table.goal_results.append(goals.P99_WITH_MANY.evaluate(subject, during / alone))
        if is_export:
            self._table.goal_results.append(goals.EXPORT_MEMORY.evaluate(subject, growth))

    def _load(self) -> Load:
        load = self._requests.send_at(RATE, self._server.port, self._seconds)
        check(not load.broken, load.failure)
        return load


def _operate(admin: SignedIn, action: str, count: int, **fields: str) -> None:
    """Change all devices, and undo that."""
    confirmation = f"{_LIST}/bulk?action={action}&all=1"
    values = {"action": action, "all": 1, "expected": count, **fields}
    page = admin.submit(f"{_LIST}/bulk", values, confirmation)
    _wait(admin, page)
    _wait(admin, admin.submit(f"{page}/undo", {}, page))


def _wait(admin: SignedIn, page: str) -> None:
    while "<progress" in admin.read(page):
        time.sleep(0.5)


def _export(admin: SignedIn, extension: str) -> None:
    with admin.open(f"{_LIST}/export.{extension}") as response:
        while response.read(1024 * 1024):
            pass
