"""Part 6: whether a block holds, from its answer on, on all workers of two servers under load."""

import random
import signal
import socket
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

from sqlalchemy import select

from apidevices.models import Device
from apidevices.standalone.simulation import SimulatedDevice
from benchmarks import fleet, goals
from benchmarks.context import BenchmarkFailed, Run, check, say
from benchmarks.databases import Backend, application, state_of
from benchmarks.load import exchange, raw_request
from benchmarks.report import Table, percentile
from harness.real_server import RealServer

DEVICES = 6
"""Each is blocked and unblocked again and again, by a thread of its own."""

HOSTS = 2
PROCESSES = 2
THREADS = 2

CHECKS = 2
"""Requests to each server, on new connections, that follow each change."""

REQUESTS_A_CONNECTION = 200
"""Clients connect anew now and then, and so come to each worker."""

ATTEMPTS = 5
"""A change that is refused for now is asked for again."""

SERVED, DENIED, UNAVAILABLE = 200, 403, 503
PATH = "/api/v1/device"


@dataclass(frozen=True, slots=True)
class Change:
    """A block or an unblock: when it was asked for and answered, and what holds from then on.

    ``refused`` counts the answers before that said to try again.
    """

    asked: float
    answered: float
    expected: int
    refused: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A request of a device: which, when it started and ended, and how it was answered."""

    device: int
    started: float
    ended: float
    status: int


def measure(run: Run) -> Table:
    """Block and unblock devices while clients call as these devices; no request may slip by."""
    trials = run.wanted_rounds or run.pick(10_008, 240)
    table = Table(
        "6. Strictness: blocks and unblocks while clients hammer",
        notes=[
            f"{HOSTS} servers (app.py, 2 workers each) on one database; {PROCESSES * THREADS}"
            f" clients on connections kept alive call both as one of {DEVICES} devices,"
            " which are blocked and unblocked at the same time.",
            "Observed: requests that started after the answer to the change, and ended before the"
            " next one was asked for. Accepted, denied: those that were answered otherwise.",
            "Last acceptance: how long after the answer to a block the last request ended that"
            " was let through; it had started before that answer. 0 where there was none.",
        ],
    )
    for backend in run.backends:
        say(f"{backend.name}: {trials:,} blocks and unblocks")
        with backend.database("strictness", DEVICES) as url:
            changes, seen = _hammer(run, url, trials)
        _judge(backend, trials, changes, seen, table)
    return table


def _judge(
    backend: Backend,
    trials: int,
    changes: Sequence[Sequence[Change]],
    seen: Sequence[Seen],
    table: Table,
) -> None:
    strange = {request.status for request in seen} - {SERVED, DENIED}
    check(not strange, f"{backend.name}: requests were answered {strange}")
    observed, wrong = Counter[int](), Counter[int]()
    every = [*chain.from_iterable(changes)]
    taken = [change.answered - change.asked for change in every]
    delays = {change: 0.0 for change in every if change.expected == DENIED}
    answered = [[change.answered for change in of_device] for of_device in changes]
    for request in seen:
        done = bisect_left(answered[request.device], request.started)  # changes before it
        following = changes[request.device][done : done + 1]
        if done and not (following and following[0].asked <= request.ended):
            expected = changes[request.device][done - 1].expected
            observed[expected] += 1
            wrong[expected] += request.status != expected
        if following and following[0].expected == DENIED and request.status == SERVED:
            delay = request.ended - following[0].answered
            delays[following[0]] = max(delays[following[0]], delay)
    check(min(observed[DENIED], observed[SERVED]) > trials, f"only {observed} were observed")
    table.rows.append(
        {
            "database": backend.name,
            "changes": len(every),
            "change ms: p50": percentile(taken, 50) * 1e3,
            "refused at first": sum(change.refused for change in every),
            "requests": len(seen),
            "observed blocked": observed[DENIED],
            "accepted": wrong[DENIED],
            "observed unblocked": observed[SERVED],
            "denied": wrong[SERVED],
            "last acceptance ms: p50": percentile([*delays.values()], 50) * 1e3,
            "p99": percentile([*delays.values()], 99) * 1e3,
            "max": max(delays.values()) * 1e3,
        }
    )
    table.verdicts += [
        goals.ACCEPTED.judge(backend.name, wrong[DENIED]),
        goals.DENIED.judge(backend.name, wrong[SERVED]),
    ]


def _hammer(run: Run, url: str, trials: int) -> tuple[list[list[Change]], list[Seen]]:
    """Make the changes under load; return them by device, and every request."""
    callers = [fleet.device(number) for number in range(DEVICES)]
    requests = [raw_request(device, run.token, path=PATH) for device in callers]
    ids = _ids(run, url, callers)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                RealServer(run.folder / f"host-{host}", variables={"DATABASE_URL": url})
            )
            for host in range(HOSTS)
        ]
        ports = [server.port for server in servers]
        collect = stack.enter_context(_clients(ports, requests))
        controllers = [
            _Controller(servers, run.token, number, ids[number], requests[number])
            for number in range(DEVICES)
        ]
        with ThreadPoolExecutor(DEVICES) as pool:
            try:
                for done in [pool.submit(each.run, trials // 2 // DEVICES) for each in controllers]:
                    done.result()
            finally:
                for controller in controllers:
                    controller.stopped = True
        seen = [request for controller in controllers for request in controller.seen]
        return [controller.changes for controller in controllers], seen + collect()


def _ids(run: Run, url: str, callers: Sequence[SimulatedDevice]) -> list[int]:
    with application(url, run.folder) as app, state_of(app).db.read() as session:
        known = dict(session.execute(select(Device.identifier, Device.id)).tuples().all())
    return [known[device.identifier] for device in callers]


class _Controller:
    """Blocks and unblocks one device again and again, and calls as it in between."""

    def __init__(
        self, servers: Sequence[RealServer], token: str, number: int, device_id: int, request: bytes
    ) -> None:
        self.changes: list[Change] = []
        self.seen: list[Seen] = []
        self.stopped = False
        self._servers = servers
        self._headers = {"Authorization": f"Bearer {token}"}
        self._number = number
        self._path = f"/api/v1/devices/{device_id}"
        self._request = request

    def run(self, times: int) -> None:
        """Block and unblock it so many times, unless stopped before."""
        for _ in range(times):
            for action, expected in (("block", DENIED), ("unblock", SERVED)):
                if self.stopped:
                    return
                self.changes.append(self._change(action, expected))
                for server in (*self._servers,) * CHECKS:
                    with closing(_connect(server.port)) as connection:
                        self.seen.append(_call(connection, self._number, self._request))
            if self._number == 0 and len(self.changes) % 100 == 0:
                say(f"{len(self.changes):,} of {2 * times:,} changes of each device")

    def _change(self, action: str, expected: int) -> Change:
        """Block or unblock it through the management API, in several attempts if need be.

        Raises:
            BenchmarkFailed: it was not done.
        """
        server = random.choice(self._servers)
        asked = time.monotonic()
        for refused in range(ATTEMPTS):
            answer = server.call("POST", f"{self._path}/{action}", self._headers)
            answered = time.monotonic()
            if answer.status == SERVED:
                return Change(asked, answered, expected, refused)
            if answer.status != UNAVAILABLE:
                break
        raise BenchmarkFailed(f"{action} was answered {answer.status}: {answer.body.decode()}")


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def _call(connection: socket.socket, number: int, request: bytes) -> Seen:
    started = time.monotonic()
    status = exchange(connection, request)
    return Seen(number, started, time.monotonic(), status)


@contextmanager
def _clients(ports: Sequence[int], requests: Sequence[bytes]) -> Iterator[Callable[[], list[Seen]]]:
    """Let processes hammer all servers; yield what ends them and returns what they saw."""
    context = get_context("spawn")
    stop = context.Event()
    pipes: list[Connection] = []
    processes = []

    def collect() -> list[Seen]:
        stop.set()
        found = [pipe.recv() for pipe in pipes]
        for failure in found:
            check(not isinstance(failure, str), f"a client failed: {failure}")
        return [*chain.from_iterable(found)]

    try:
        for _ in range(PROCESSES):
            ours, theirs = context.Pipe(duplex=False)
            arguments = (ports, requests, stop, theirs)
            process = context.Process(target=_be_clients, args=arguments, daemon=True)
            process.start()
            theirs.close()  # so that its end is seen on ours
            pipes.append(ours)
            processes.append(process)
        for pipe in pipes:
            pipe.recv()  # it has begun
        yield collect
    finally:
        for process in processes:
            process.kill()
            process.join()


def _be_clients(
    ports: Sequence[int], requests: Sequence[bytes], stop: Event, pipe: Connection
) -> None:
    """Call until it shall stop, then hand over what was seen."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it

    def call(port: int) -> list[Seen]:
        seen: list[Seen] = []
        while not stop.is_set():
            with closing(_connect(port)) as connection:
                for _ in range(REQUESTS_A_CONNECTION):
                    number = random.randrange(len(requests))
                    seen.append(_call(connection, number, requests[number]))
        return seen

    with ThreadPoolExecutor(THREADS) as pool:
        found = [pool.submit(call, ports[number % len(ports)]) for number in range(THREADS)]
        pipe.send("begun")
        try:
            pipe.send([request for future in found for request in future.result()])
        except OSError as error:
            pipe.send(str(error))
