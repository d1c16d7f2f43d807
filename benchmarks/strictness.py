"""Whether blocks and unblocks take effect at once, on two servers under load.

A request that starts after the response to a block must be denied, on every worker.
"""

import random
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import select

from apidevices.models import Device
from apidevices.standalone.simulation import SimulatedDevice
from benchmarks import fleet, goals
from benchmarks.clients import CLIENTS, ObservedRequest, connect, observe, running_clients
from benchmarks.context import BenchmarkFailed, Run, check, show_progress
from benchmarks.databases import Backend, application, state_of
from benchmarks.load import raw_request
from benchmarks.report import Table, percentile
from harness.real_server import RealServer

DEVICES = 6
"""Number of devices. One thread per device blocks and unblocks it repeatedly."""

SERVERS = 2

CHECKS = 2
"""Requests to each server after each change, on new connections."""

MAX_ATTEMPTS = 5
"""A change is retried after a 503 response, up to this many attempts."""

SERVED, DENIED, UNAVAILABLE = 200, 403, 503
PATHS = ("/api/v1/device", "/verify")
"""The first is handled in threads, the second in the event loop. Devices call one or the other."""


@dataclass(frozen=True, slots=True)
class Change:
    """A block or an unblock.

    ``expected`` is the status of every later request from the device. ``retries`` counts 503
    responses before the change succeeded.
    """

    started: float
    ended: float
    expected: int
    retries: int


def measure(run: Run) -> Table:
    """Block and unblock devices under load, and check the response to every request."""
    trials = run.pick(10_008, 240)
    table = Table(
        "strictness: blocks and unblocks under load",
        notes=[
            f"{SERVERS} servers (app.py, 2 workers each) share one database. {CLIENTS}"
            f" clients with keep-alive connections call both as one of {DEVICES} devices, which"
            " are blocked and unblocked at the same time. Half of them call the API, the others the"
            " gate.",
            "Observed: requests that started after the response to a change and ended before the"
            " next change was requested. Wrongly accepted, wrongly denied: observed requests that"
            " got the wrong status.",
            "Last acceptance: time from the response to a block until the end of the last accepted"
            " request, which started before that response. 0 if there was none.",
        ],
    )
    for backend in run.backends:
        show_progress(f"{backend.name}: {trials:,} blocks and unblocks")
        with backend.database("strictness", DEVICES) as url:
            changes, requests = _run_trials(run, url, trials)
        _evaluate(backend, trials, changes, requests, table)
    return table


def _evaluate(
    backend: Backend,
    trials: int,
    changes: Sequence[Sequence[Change]],
    requests: Sequence[ObservedRequest],
    table: Table,
) -> None:
    unexpected = {request.status for request in requests} - {SERVED, DENIED}
    check(not unexpected, f"{backend.name}: unexpected responses: {unexpected}")
    observed, wrong = Counter[int](), Counter[int]()
    all_changes = [*chain.from_iterable(changes)]
    durations = [change.ended - change.started for change in all_changes]
    delays = {change: 0.0 for change in all_changes if change.expected == DENIED}
    change_ends = [[change.ended for change in of_device] for of_device in changes]
    for request in requests:
        changes_before = bisect_left(change_ends[request.device], request.started)
        following = changes[request.device][changes_before : changes_before + 1]
        if changes_before and not (following and following[0].started <= request.ended):
            expected = changes[request.device][changes_before - 1].expected
            observed[expected] += 1
            wrong[expected] += request.status != expected
        if following and following[0].expected == DENIED and request.status == SERVED:
            delay = request.ended - following[0].ended
            delays[following[0]] = max(delays[following[0]], delay)
    check(
        min(observed[DENIED], observed[SERVED]) > trials,
        f"too few requests were observed: {observed}",
    )
    table.rows.append(
        {
            "database": backend.name,
            "changes": len(all_changes),
            "change ms: p50": percentile(durations, 50) * 1e3,
            "retries": sum(change.retries for change in all_changes),
            "requests": len(requests),
            "observed blocked": observed[DENIED],
            "wrongly accepted": wrong[DENIED],
            "observed unblocked": observed[SERVED],
            "wrongly denied": wrong[SERVED],
            "last acceptance ms: p50": percentile([*delays.values()], 50) * 1e3,
            "p99": percentile([*delays.values()], 99) * 1e3,
            "max": max(delays.values()) * 1e3,
        }
    )
    table.goal_results += [
        goals.ACCEPTED_AFTER_BLOCK.evaluate(backend.name, wrong[DENIED]),
        goals.DENIED_AFTER_UNBLOCK.evaluate(backend.name, wrong[SERVED]),
    ]


def _run_trials(
    run: Run, url: str, trials: int
) -> tuple[list[list[Change]], list[ObservedRequest]]:
    """Block and unblock devices under load. Return the changes by device, and all requests."""
    callers = [fleet.device(number) for number in range(DEVICES)]
    requests = [
        raw_request(device, run.token, path=PATHS[number % len(PATHS)])
        for number, device in enumerate(callers)
    ]
    ids = _ids(run, url, callers)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                RealServer(run.folder / f"server-{number}", variables={"DATABASE_URL": url})
            )
            for number in range(SERVERS)
        ]
        ports = [server.port for server in servers]
        stop_clients = stack.enter_context(running_clients(ports, requests))
        controllers = [
            _Controller(servers, run.token, number, ids[number], requests[number])
            for number in range(DEVICES)
        ]
        with ThreadPoolExecutor(DEVICES) as pool:
            try:
                times = trials // 2 // DEVICES
                futures = [pool.submit(controller.run, times) for controller in controllers]
                for future in futures:
                    future.result()
            finally:
                for controller in controllers:
                    controller.stopped = True
        observed = [request for controller in controllers for request in controller.observed]
        return [controller.changes for controller in controllers], observed + stop_clients()


def _ids(run: Run, url: str, callers: Sequence[SimulatedDevice]) -> list[int]:
    with application(url, run.folder) as app, state_of(app).db.read() as session:
        ids = dict(session.execute(select(Device.identifier, Device.id)).tuples().all())
    return [ids[device.identifier] for device in callers]


class _Controller:
    """Controls one device: blocks and unblocks it repeatedly, and sends requests in between."""

    def __init__(
        self, servers: Sequence[RealServer], token: str, number: int, device_id: int, request: bytes
    ) -> None:
        self.changes: list[Change] = []
        self.observed: list[ObservedRequest] = []
        self.stopped = False
        self._servers = servers
        self._headers = {"Authorization": f"Bearer {token}"}
        self._number = number
        self._path = f"/api/v1/devices/{device_id}"
        self._request = request

    def run(self, times: int) -> None:
        """Block and unblock the device this many times, until stopped."""
        for _ in range(times):
            for action, expected in (("block", DENIED), ("unblock", SERVED)):
                if self.stopped:
                    return
                self.changes.append(self._change(action, expected))
                for server in (*self._servers,) * CHECKS:
                    with closing(connect(server.port)) as connection:
                        self.observed.append(observe(connection, self._number, self._request))
            if self._number == 0 and len(self.changes) % 100 == 0:
                show_progress(f"{len(self.changes):,} of {2 * times:,} changes of each device")

    def _change(self, action: str, expected: int) -> Change:
        """Block or unblock the device through the management API. Retry after a 503 response.

        Raises:
            BenchmarkFailed: The change failed.
        """
        server = random.choice(self._servers)
        started = time.monotonic()
        for retries in range(MAX_ATTEMPTS):
            response = server.call("POST", f"{self._path}/{action}", self._headers)
            ended = time.monotonic()
            if response.status == SERVED:
                return Change(started, ended, expected, retries)
            if response.status != UNAVAILABLE:
                break
        raise BenchmarkFailed(f"{action} returned {response.status}: {response.body.decode()}")
