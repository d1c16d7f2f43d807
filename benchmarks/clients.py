"""Clients in separate processes that send requests continuously and record every response."""

import random
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

from benchmarks.context import check
from benchmarks.load import exchange

CLIENTS = 4
"""Total number of clients."""

_PROCESSES = 2
_REQUESTS_PER_CONNECTION = 200
"""Clients reconnect after this many requests, to reach every worker."""


@dataclass(frozen=True, slots=True)
class ObservedRequest:
    """A request from a device: when it started and ended, and its response status."""

    device: int
    started: float
    ended: float
    status: int


def connect(port: int) -> socket.socket:
    """Open a connection to a server on this machine."""
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def observe(connection: socket.socket, number: int, request: bytes) -> ObservedRequest:
    """Send a request from device ``number`` and time it."""
    started = time.monotonic()
    status = exchange(connection, request)
    return ObservedRequest(number, started, time.monotonic(), status)


@contextmanager
def running_clients(
    ports: Sequence[int], requests: Sequence[bytes]
) -> Iterator[Callable[[], list[ObservedRequest]]]:
    """Start client processes. Yield a function that stops them and returns their requests."""
    context = get_context("spawn")
    stop = context.Event()
    pipes: list[Connection] = []
    processes = []

    def stop_clients() -> list[ObservedRequest]:
        stop.set()
        results = [pipe.recv() for pipe in pipes]
        for result in results:
            check(not isinstance(result, str), f"a client failed: {result}")
        return [*chain.from_iterable(results)]

    try:
        for _ in range(_PROCESSES):
            receiver, sender = context.Pipe(duplex=False)
            arguments = (ports, requests, stop, sender)
            process = context.Process(target=_run_clients, args=arguments, daemon=True)
            process.start()
            sender.close()  # so that the receiver gets EOF when the client exits
            pipes.append(receiver)
            processes.append(process)
        for pipe in pipes:
            pipe.recv()  # the client has started
        yield stop_clients
    finally:
        for process in processes:
            process.kill()
            process.join()


def _run_clients(
    ports: Sequence[int], requests: Sequence[bytes], stop: Event, pipe: Connection
) -> None:
    """Send requests until the stop event is set, then send the observations through the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process stops this one

    def call(port: int) -> list[ObservedRequest]:
        observed: list[ObservedRequest] = []
        while not stop.is_set():
            with closing(connect(port)) as connection:
                for _ in range(_REQUESTS_PER_CONNECTION):
                    number = random.randrange(len(requests))
                    observed.append(observe(connection, number, requests[number]))
        return observed

    threads = CLIENTS // _PROCESSES
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(call, ports[number % len(ports)]) for number in range(threads)]
        pipe.send("started")
        try:
            pipe.send([request for future in futures for request in future.result()])
        except OSError as error:
            pipe.send(str(error))
