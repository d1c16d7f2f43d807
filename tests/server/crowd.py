"""Clients that keep connections open without using them as intended."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from harness.real_server import RealServer
from tests.conftest import UPLOADS

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 60  # responses of 2 MB
UPLOAD = f"POST {UPLOADS} HTTP/1.1\r\nHost: localhost\r\n".encode()


@dataclass(frozen=True)
class Habit:
    """How a slow client behaves.

    Args:
        begin: What it sends at once.
        then: What it sends afterward, one byte a second. None to read the response instead.
        reads: Whether it reads the response.
    """

    name: str
    begin: bytes = b""
    then: bytes = b""
    receive_buffer: int = 0
    reads: bool = False


HABITS = [
    Habit("silent"),
    Habit("a byte a second of headers", b"GET / HTTP/1.1\r\nX-Slow: ", b"x" * 600),
    Habit("a byte a second of a body", UPLOAD + b"Content-Length: 9000\r\n\r\n", b"1" * 600),
    Habit("half a body", UPLOAD + b"Content-Length: 200000\r\n\r\n" + b"1" * 100_000),
    Habit("half a chunk", UPLOAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n123"),
    Habit("half a body behind a request", LIVEZ + UPLOAD + b"Content-Length: 9\r\n\r\n123"),
    Habit("never reads", LARGE, receive_buffer=2048),
    Habit("never reads small responses", LIVEZ * 9 + LARGE, receive_buffer=2048),
    Habit("never closes", b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    Habit("idle", LIVEZ, reads=True),
]


@dataclass
class Crowd:
    """Open connections of slow clients."""

    habit: Habit
    sockets: list[socket.socket] = field(default_factory=list)

    def open(self, server: RealServer, count: int) -> None:
        """Open connections and send the beginning of what the clients send."""
        for _ in range(count):
            connection = socket.socket()
            if self.habit.receive_buffer:
                size = self.habit.receive_buffer
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
            connection.settimeout(10)
            connection.connect(("127.0.0.1", server.port))
            self.sockets.append(connection)
            with suppress(ConnectionError):
                connection.sendall(self.habit.begin)
            if self.habit.reads:
                assert connection.recv(100_000).startswith(b"HTTP/1.1 200 OK")
            connection.settimeout(0)

    def send_a_byte(self, number: int) -> None:
        byte = self.habit.then[number : number + 1]
        for connection in self.sockets if byte else ():
            with suppress(OSError):
                connection.send(byte)

    def count_closed(self) -> int:
        """Read what has arrived, and return how many connections the server has closed."""
        return sum(map(is_closed, self.sockets))

    def has_closed(self, count: int) -> bool:
        """Return whether the server has closed this number of connections."""
        return self.count_closed() == count


def is_closed(connection: socket.socket) -> bool:
    """Return whether the server has closed a connection. Read everything that has arrived."""
    try:
        while connection.recv(100_000):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


@contextmanager
def crowd(server: RealServer, habit: Habit, count: int) -> Iterator[Crowd]:
    """Keep slow clients connected while the block runs."""
    clients, stopping = Crowd(habit), threading.Event()

    def trickle() -> None:
        number = 0
        while not stopping.wait(1):
            clients.send_a_byte(number)
            number += 1

    thread = threading.Thread(target=trickle)
    try:
        clients.open(server, count)
        thread.start()
        yield clients
    finally:
        stopping.set()
        if thread.is_alive():
            thread.join()
        for connection in clients.sockets:
            connection.close()


def seconds(function: Callable[[], object]) -> float:
    """Call a function and return how long it took."""
    started = time.monotonic()
    function()
    return time.monotonic() - started
