"""HTTP load generator: wrk if it is installed, else Python processes."""

import json
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import chain, cycle
from multiprocessing import get_context
from pathlib import Path

from apidevices.standalone.simulation import SimulatedDevice
from benchmarks.context import BenchmarkFailed
from benchmarks.report import percentile
from harness.real_server import ROOT

CONNECTIONS = 16

_PROCESSES = 2
_SCRIPT = Path(__file__).with_name("wrk.lua")
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Load:
    """Throughput and latency of a load.

    ``errors`` counts responses other than 2xx, ``broken`` counts requests without a response.
    ``generator_cpu`` is the CPU time that the load generator used, in cores. ``late_p99_ms`` is how
    late it sent requests at a constant rate, although a connection was free.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    broken: int
    generator_cpu: float = 0.0
    late_p99_ms: float = 0.0

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def failure(self) -> str:
        """Description of failed requests. Empty if all succeeded."""
        if not self.errors and not self.broken:
            return ""
        return (
            f"{self.errors:,} of {self.requests:,} responses were errors,"
            f" {self.broken:,} requests got no response"
        )


def load_generator() -> str:
    """Return the name of the load generator."""
    return "wrk" if shutil.which("wrk") else f"{_PROCESSES} Python processes"


def raw_request(
    device: SimulatedDevice,
    token: str,
    method: str = "GET",
    path: str = "/api/v1/ping",
    more: Mapping[str, str] | None = None,
) -> bytes:
    """Return a request from a device as raw HTTP/1.1 bytes, with ``more`` headers."""
    body = b'{"kind": "scan", "count": 3, "ok": true}' if method == "POST" else b""
    headers = {"Host": "127.0.0.1", "Authorization": f"Bearer {token}", **device.headers()}
    headers |= more or {}
    if body:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def exchange(connection: socket.socket, request: bytes) -> int:
    """Send a request, read the whole response and return its status.

    Raises:
        OSError: The connection broke.
    """
    connection.sendall(request)
    response = b""
    while (missing := missing_bytes(response)) is None:
        response += _receive(connection)
    while missing > 0:
        missing -= len(_receive(connection))
    return int(response[9:12])


def missing_bytes(response: bytes) -> int | None:
    """Return how many bytes of a response are missing. None: its headers are incomplete."""
    end = response.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = _CONTENT_LENGTH.search(response, 0, end + 2)
    return max(0, end + 4 + int(length[1] if length else 0) - len(response))


class Requests:
    """Prepared requests that can be sent to any server."""

    def __init__(self, path: Path, requests: Iterable[bytes]) -> None:
        self._path = path
        self._requests = list(requests)
        path.write_bytes(b"".join(request + b"\0" for request in self._requests))

    def send(self, port: int, seconds: float, *, in_order: bool = False) -> Load:
        """Send requests for some seconds: random ones, or each once in order.

        Raises:
            BenchmarkFailed: No request got a response, or there were too few requests to send
                each only once.
        """
        send = _send_with_wrk if shutil.which("wrk") else self._send_with_python
        before = _children_cpu_seconds()
        load = send(port, seconds, self._path, in_order)
        load = replace(load, generator_cpu=(_children_cpu_seconds() - before) / load.seconds)
        if not load.requests:
            raise BenchmarkFailed("no request got a response")
        if in_order and load.requests + CONNECTIONS >= len(self._requests):
            raise BenchmarkFailed(f"{len(self._requests):,} prepared requests are too few")
        return load

    def send_at(self, rate: float, port: int, seconds: float) -> Load:
        """Send random requests at a constant rate, whatever the server does.

        A duration starts when the request was due, so that a request that has to wait for a free
        connection counts as slow.

        Raises:
            BenchmarkFailed: The load generator failed.
        """
        options = [port, rate, seconds, CONNECTIONS, self._path]
        command = [sys.executable, "-m", "benchmarks.paced", *map(str, options)]
        finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if finished.returncode:
            raise BenchmarkFailed(f"the paced load generator failed:\n{finished.stderr}")
        return Load(**json.loads(finished.stdout))

    def _send_with_python(self, port: int, seconds: float, _path: Path, in_order: bool) -> Load:
        shares = [self._requests[number::_PROCESSES] for number in range(_PROCESSES)]
        with get_context("spawn").Pool(_PROCESSES, _ignore_interrupt) as pool:
            results = pool.starmap(
                _send_share, [(port, seconds, share, in_order) for share in shares]
            )
        durations = list(chain.from_iterable(times for times, _, _ in results))
        return Load(
            len(durations),
            seconds,
            percentile(durations, 50) * 1e3 if durations else 0,
            percentile(durations, 99) * 1e3 if durations else 0,
            sum(errors for _, errors, _ in results),
            sum(broken for _, _, broken in results),
        )


def _send_with_wrk(port: int, seconds: float, path: Path, in_order: bool) -> Load:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--timeout=30s"]
    script = ["-s", str(_SCRIPT), f"http://127.0.0.1:{port}/", "--", str(path)]
    order = "in-order" if in_order else "random"
    finished = subprocess.run([*command, *script, order], capture_output=True, text=True)
    if finished.returncode:
        raise BenchmarkFailed(f"wrk failed: {finished.stderr.strip() or finished.stdout.strip()}")
    return Load(**json.loads(finished.stdout.splitlines()[-1]))


def _send_share(
    port: int, seconds: float, requests: Sequence[bytes], in_order: bool
) -> tuple[list[float], int, int]:
    """Send one process's share. Return durations, error count and broken request count."""
    threads = CONNECTIONS // _PROCESSES
    deadline = time.monotonic() + seconds

    def run(number: int) -> tuple[list[float], int, int]:
        own_requests = requests[number::threads]
        durations: list[float] = []
        errors = 0
        with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
            for request in cycle(own_requests) if in_order else _random(own_requests):
                started = time.monotonic()
                if started >= deadline:
                    break
                try:
                    status = exchange(connection, request)
                except OSError:
                    return durations, errors, 1
                durations.append(time.monotonic() - started)
                errors += not 200 <= status < 300
        return durations, errors, 0

    with ThreadPoolExecutor(threads) as pool:
        durations, errors, broken = zip(*pool.map(run, range(threads)), strict=True)
    return list(chain.from_iterable(durations)), sum(errors), sum(broken)


def _children_cpu_seconds() -> float:
    """Return the CPU seconds of all child processes that have exited."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _random(requests: Sequence[bytes]) -> Iterator[bytes]:
    while True:
        yield random.choice(requests)


def _ignore_interrupt() -> None:
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process stops this one


def _receive(connection: socket.socket) -> bytes:
    if not (data := connection.recv(65536)):
        raise ConnectionError("the server closed the connection")
    return data
