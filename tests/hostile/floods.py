"""More requests, connections and guesses than the server can take, while another client calls."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from harness.real_server import wait_until
from tests.conftest import DEVICE, UPLOADS, VERIFY
from tests.hostile.target import EMAIL, Target, Visitor, in_parallel, on_connections
from tests.hostile.wire import Wire, connect

MAX_SECONDS = 15
"""Seconds within which another client must get a response during a flood."""


@dataclass(frozen=True)
class Plan:
    """The size of each flood."""

    devices: int = 4_000
    uploads: int = 300
    upload_size: int = 1_000_000
    changes: int = 3_000
    sign_ins: int = 96
    slow_connections: int = 300
    silent_connections: int = 3_000


READ_TIMEOUT = 2
"""Seconds to send a request, as the server under attack is configured."""

CONNECTIONS = 200
"""Connections per worker, as the server under attack is configured."""

SETTINGS = {
    "APIDEVICES_READ_TIMEOUT": str(READ_TIMEOUT),
    "APIDEVICES_CONNECTIONS": str(CONNECTIONS),
}
"""The settings of the server under attack."""


def attack(target: Target, plan: Plan) -> None:
    """Run all floods, one after the other."""
    target.register("other")
    floods: list[tuple[str, Callable[[], None]]] = [
        ("devices", lambda: _made_up_devices(target, plan.devices)),
        ("uploads", lambda: _uploads(target, plan.uploads, plan.upload_size)),
        ("changes", lambda: _changes(target, plan.changes)),
        ("sign-ins", lambda: _sign_ins(target, plan.sign_ins)),
        ("slow requests", lambda: _slow_requests(target, plan.slow_connections)),
        ("silent connections", lambda: _silent_connections(target, plan.silent_connections)),
    ]
    for name, flood in floods:
        with _other_client(target, name):
            flood()
        wait_until(target.server.is_ready, 30)


@contextmanager
def _other_client(target: Target, name: str) -> Iterator[None]:
    """Call as a known device during a flood. It must get a response, and be served at the end."""
    stop = threading.Event()
    durations: list[float] = []

    def call(wire: Wire) -> int:
        started = time.monotonic()
        answer = None
        for _ in range(3):  # the server may have replaced the connection
            with suppress(OSError):
                answer = wire.ask("GET", DEVICE, target.as_device("other"))
            if answer is not None:
                break
        durations.append(time.monotonic() - started)
        target.tally.record(answer, name)
        return 0 if answer is None else answer.status

    def run() -> None:
        with target.wire() as wire:
            while not stop.is_set():
                status = call(wire)
                target.tally.require(status in (200, 429, 503), f"{name}: {status} for others")
                stop.wait(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    with target.wire() as wire:
        target.tally.require(call(wire) == 200, f"{name}: a known device is not served afterwards")
    slowest, median = max(durations), sorted(durations)[len(durations) // 2]
    target.tally.require(slowest < MAX_SECONDS, f"{name}: another client waited {slowest:.1f} s")
    target.tally.notes.append(
        f"{name}: {len(durations)} other requests, median {median * 1000:.0f} ms,"
        f" slowest {slowest * 1000:.0f} ms"
    )


def _made_up_devices(target: Target, count: int) -> None:
    def register(wire: Wire, number: int) -> None:
        path = (DEVICE, VERIFY)[number % 2]
        headers = target.as_device(f"made-up-{number}", model=f"T{number}")
        target.tally.record(wire.ask("GET", path, headers), number)

    on_connections(target, register, range(count))


def _uploads(target: Target, count: int, size: int) -> None:
    body = json.dumps({"text": "x" * (size - 20)})

    def upload(wire: Wire, number: int) -> None:
        headers = [*target.as_device("uploader"), ("Content-Type", "application/json")]
        target.tally.record(wire.ask("POST", UPLOADS, headers, body), number)

    on_connections(target, upload, range(count))


def _changes(target: Target, count: int) -> None:
    def change(wire: Wire, number: int) -> None:
        details = {"model": f"T{number % 2}", "os": f"O{number}"}
        path = (DEVICE, VERIFY)[number % 2]
        target.tally.record(wire.ask("GET", path, target.as_device("restless", **details)), number)

    on_connections(target, change, range(count))


def _sign_ins(target: Target, count: int) -> None:
    def guess(number: int) -> None:
        email = EMAIL if number % 2 else f"{number}@example.org"
        with Visitor(target) as visitor:
            visitor.get("/login")
            answer = visitor.post("/login", {"email": email, "password": f"guess number {number}"})
        if answer is not None and answer.status in (302, 303):
            location = answer.headers.get("location", "")
            target.tally.require("login" in location, f"a guess was redirected to {location}")

    in_parallel(guess, range(count), threads=32)


SLOW_REQUESTS = (
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
    b"",
)


def _slow_requests(target: Target, count: int) -> None:
    """Send a byte now and then. The server must close these connections in time."""
    slow = []
    for number in range(count):
        connection = connect(target.port)
        connection.sendall(SLOW_REQUESTS[number % len(SLOW_REQUESTS)])
        slow.append(connection)
    deadline = time.monotonic() + READ_TIMEOUT + 8
    while slow and time.monotonic() < deadline:
        for connection in list(slow):
            if _is_closed(connection):
                target.tally.record(None)
                slow.remove(connection)
            else:
                with suppress(OSError):
                    connection.send(b"1")
        time.sleep(0.3)
    target.tally.require(not slow, f"{len(slow)} of {count} slow connections are still open")
    for connection in slow:
        connection.close()


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(10_000):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    connection.close()
    return True


def _silent_connections(target: Target, count: int) -> None:
    """Open more connections than the server permits. It must close the oldest ones."""
    opened: list[socket.socket] = []
    for _ in range(count):
        with suppress(OSError):
            opened.append(connect(target.port))
    time.sleep(1)
    closed = sum(_is_closed(connection) for connection in opened)
    for _ in range(closed):
        target.tally.record(None)
    still_open = len(opened) - closed
    most = 2 * CONNECTIONS  # two workers
    target.tally.require(still_open <= most, f"{still_open} silent connections are open")
    for connection in opened:
        connection.close()
