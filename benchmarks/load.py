"""Load over HTTP: by wrk where it is found, else by processes of ours."""

import json
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain, cycle
from multiprocessing import get_context
from pathlib import Path

from apidevices.standalone.simulation import SimulatedDevice
from benchmarks.context import BenchmarkFailed
from benchmarks.report import percentile

CONNECTIONS = 16

_PROCESSES = 2
_SCRIPT = Path(__file__).with_name("wrk.lua")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load: how many requests were answered and how fast.

    ``refused`` counts answers that are no success, ``broken`` what got no answer.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def failure(self) -> str:
        """What went wrong; empty where nothing did."""
        if not self.refused and not self.broken:
            return ""
        return f"of {self.requests:,} requests, {self.refused:,} refused, {self.broken:,} broken"


def loader() -> str:
    """Return the name of what makes the requests."""
    return "wrk" if shutil.which("wrk") else f"{_PROCESSES} processes of Python"


def raw_request(
    device: SimulatedDevice, token: str, method: str = "GET", path: str = "/api/v1/ping"
) -> bytes:
    """Return a request of a device, as it goes over the wire."""
    body = b'{"kind": "scan", "count": 3, "ok": true}' if method == "POST" else b""
    headers = {"Host": "127.0.0.1", "Authorization": f"Bearer {token}", **device.headers()}
    if body:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def exchange(connection: socket.socket, request: bytes) -> int:
    """Send a request and return the status of its answer, once all of that is there.

    Raises:
        OSError: the connection broke.
    """
    connection.sendall(request)
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0:
        answer += _received(connection)
    length = _LENGTH.search(answer, 0, end + 2)
    missing = end + 4 + int(length[1] if length else 0) - len(answer)
    while missing > 0:
        missing -= len(_received(connection))
    return int(answer[9:12])


class Requests:
    """Requests in a file, to be sent to any server."""

    def __init__(self, path: Path, requests: Iterable[bytes]) -> None:
        self._path = path
        self._requests = list(requests)
        path.write_bytes(b"".join(request + b"\0" for request in self._requests))

    def send(self, port: int, seconds: float, *, in_order: bool = False) -> Load:
        """Send any of them again and again, or each once and in their order.

        Raises:
            BenchmarkFailed: there were not enough to send each once, or nothing was answered.
        """
        by = _by_wrk if shutil.which("wrk") else self._by_python
        load = by(port, seconds, self._path, in_order)
        if not load.requests:
            raise BenchmarkFailed("no request was answered")
        if in_order and load.requests + CONNECTIONS >= len(self._requests):
            raise BenchmarkFailed(f"{len(self._requests):,} requests were too few")
        return load

    def _by_python(self, port: int, seconds: float, _path: Path, in_order: bool) -> Load:
        shares = [self._requests[number::_PROCESSES] for number in range(_PROCESSES)]
        with get_context("spawn").Pool(_PROCESSES, _ignore_interrupt) as pool:
            found = pool.starmap(_share, [(port, seconds, share, in_order) for share in shares])
        durations = list(chain.from_iterable(times for times, _, _ in found))
        return Load(
            len(durations),
            seconds,
            percentile(durations, 50) * 1e3 if durations else 0,
            percentile(durations, 99) * 1e3 if durations else 0,
            sum(refused for _, refused, _ in found),
            sum(broken for _, _, broken in found),
        )


def _by_wrk(port: int, seconds: float, path: Path, in_order: bool) -> Load:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--timeout=30s"]
    script = ["-s", str(_SCRIPT), f"http://127.0.0.1:{port}/", "--", str(path)]
    order = "in-order" if in_order else "any"
    ended = subprocess.run([*command, *script, order], capture_output=True, text=True)
    if ended.returncode:
        raise BenchmarkFailed(f"wrk failed: {ended.stderr.strip() or ended.stdout.strip()}")
    return Load(**json.loads(ended.stdout.splitlines()[-1]))


def _share(
    port: int, seconds: float, requests: Sequence[bytes], in_order: bool
) -> tuple[list[float], int, int]:
    """Send one process's share; return how long each took, how many were refused and broke."""
    threads = CONNECTIONS // _PROCESSES
    deadline = time.monotonic() + seconds

    def run(number: int) -> tuple[list[float], int, int]:
        mine = requests[number::threads]
        durations: list[float] = []
        refused = 0
        with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
            for request in cycle(mine) if in_order else _any(mine):
                started = time.monotonic()
                if started >= deadline:
                    break
                try:
                    status = exchange(connection, request)
                except OSError:
                    return durations, refused, 1
                durations.append(time.monotonic() - started)
                refused += not 200 <= status < 300
        return durations, refused, 0

    with ThreadPoolExecutor(threads) as pool:
        durations, refused, broken = zip(*pool.map(run, range(threads)), strict=True)
    return list(chain.from_iterable(durations)), sum(refused), sum(broken)


def _any(requests: Sequence[bytes]) -> Iterator[bytes]:
    while True:
        yield random.choice(requests)


def _ignore_interrupt() -> None:
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it


def _received(connection: socket.socket) -> bytes:
    if not (data := connection.recv(65536)):
        raise ConnectionError("the server closed the connection")
    return data
