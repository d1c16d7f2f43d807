"""Send requests at a constant rate from one process, and time each from the moment it was due.

``python -m benchmarks.paced PORT RATE SECONDS CONNECTIONS FILE`` prints the load as JSON.

wrk sends a request only after a response, so it sends less while a server is slow, and its
percentiles leave out the requests that would have been slow (coordinated omission).
"""

import gc
import json
import random
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

from benchmarks.load import Load, missing_bytes
from benchmarks.report import percentile

PATIENCE = 10.0
"""Seconds to wait for the last responses."""


class _Sender:
    """Sends requests over its connections when they are due."""

    def __init__(self, port: int, connections: int, requests: Sequence[bytes]) -> None:
        self.durations: list[float] = []
        self.late: list[float] = []
        self.errors = 0
        self.broken = 0
        self._address = ("127.0.0.1", port)
        self._requests = cycle(random.sample(requests, len(requests)))
        self._free = deque((0.0, self._connect()) for _ in range(connections))
        self._due: dict[socket.socket, float] = {}
        self._responses: dict[socket.socket, bytes] = {}

    def run(self, rate: float, seconds: float) -> float:
        """Send ``rate`` requests per second. Return the seconds until the last response."""
        total = round(rate * seconds)
        started = time.monotonic()
        deadline = started + seconds + PATIENCE
        sent = 0
        while len(self.durations) + self.broken < total:
            now = time.monotonic()
            if now > deadline:
                self.broken = total - len(self.durations)
                break
            while self._free and sent < total and started + sent / rate <= now:
                self._send(started + sent / rate)
                sent += 1
            pause = deadline - now
            if self._free and sent < total:
                pause = started + sent / rate - time.monotonic()
            # epoll can only wait for whole milliseconds.
            for connection in select.select([*self._due], [], [], max(0.0, pause))[0]:
                self._receive(connection)
        return time.monotonic() - started

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _send(self, due: float) -> None:
        free_since, connection = self._free.popleft()
        self.late.append(time.monotonic() - max(due, free_since))
        try:
            connection.sendall(next(self._requests))
        except OSError:
            self._replace(connection)
        else:
            self._due[connection] = due

    def _receive(self, connection: socket.socket) -> None:
        try:
            received = connection.recv(65536)
        except OSError:
            received = b""
        if not received:
            del self._due[connection]
            self._replace(connection)
            return
        response = self._responses.pop(connection, b"") + received
        if missing_bytes(response) != 0:
            self._responses[connection] = response
            return
        now = time.monotonic()
        self.durations.append(now - self._due.pop(connection))
        self.errors += response[9:10] != b"2"
        self._free.append((now, connection))

    def _replace(self, connection: socket.socket) -> None:
        """Count a broken request and open a new connection."""
        self.broken += 1
        self._responses.pop(connection, None)
        connection.close()
        self._free.append((time.monotonic(), self._connect()))


def main() -> None:
    """Send the load of the command line and print its results."""
    port, rate, seconds, connections, path = sys.argv[1:]
    requests = Path(path).read_bytes().split(b"\0")[:-1]
    sender = _Sender(int(port), int(connections), requests)
    gc.disable()  # a collection would delay requests
    before = time.process_time()
    duration = sender.run(float(rate), float(seconds))
    load = Load(
        requests=len(sender.durations),
        seconds=duration,
        p50_ms=percentile(sender.durations or [0], 50) * 1e3,
        p99_ms=percentile(sender.durations or [0], 99) * 1e3,
        errors=sender.errors,
        broken=sender.broken,
        generator_cpu=(time.process_time() - before) / duration,
        late_p99_ms=percentile(sender.late or [0], 99) * 1e3,
    )
    print(json.dumps(asdict(load)))


if __name__ == "__main__":
    main()
