"""Stopping or killing the server: requests in flight complete, and no stored data is lost."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from apidevices.clock import now, rfc3339
from harness.real_server import PROGRAM, RealServer, Response, read_response, wait_until
from tests.conftest import DEVICE, UPLOADS, StartServer, as_device
from tests.server.threads import Threads

BODY = b'{"count": 3}'


@contextmanager
def incomplete_upload(server: RealServer, token: str) -> Iterator[socket.socket]:
    """Send an upload without its body, so that a worker waits for the body."""
    headers = {
        **as_device(token, "slow-1"),
        "Content-Type": "application/json",
        "Content-Length": str(len(BODY)),
        "Expect": "100-continue",
    }
    head = [f"POST {UPLOADS} HTTP/1.1", "Host: localhost", *map(": ".join, headers.items())]
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        yield connection


def rejects_connections(server: RealServer) -> bool:
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


SLOW_FORK = """
import runpy, sys, time
from gunicorn import util
def set_title(title):
    if title.startswith("worker"):
        time.sleep(1)
util._setproctitle = set_title
sys.argv = sys.orig_argv = [sys.argv[1]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs the server with workers that need a second from the fork to their signal handlers."""


def test_server_stops_at_once_while_its_workers_start(tmp_path: Path) -> None:
    python, app = PROGRAM
    server = RealServer(tmp_path / "instance", program=(python, "-c", SLOW_FORK, app))
    server.launch()
    wait_until(lambda: server.workers, 30)
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 15  # gunicorn kills workers after 30 seconds


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_port_is_closed_while_the_last_request_is_in_flight(
    make_server: StartServer, number: signal.Signals
) -> None:
    with make_server(WEB_CONCURRENCY="2") as server:
        with incomplete_upload(server, server.create_token()) as upload:
            server.process.send_signal(number)
            wait_until(lambda: rejects_connections(server), 10)
            upload.sendall(BODY)
            assert read_response(upload).status == 201
        server.process.wait(20)
        server.launch()
        wait_until(server.is_ready, 30)


@dataclass
class Sent:
    """A request that was sent completely, and its result."""

    device: str
    at: float
    answered_at: float | None = None
    active_at: str = ""


class Load(Threads):
    """Devices that call continuously, half of them over keep-alive connections."""

    def __init__(self, server: RealServer, token: str) -> None:
        self.sent: list[Sent] = []
        self.unexpected: list[Response] = []
        self._server = server
        self._token = token
        super().__init__(
            partial(self._run, f"{kind}-{number}", keep_alive=kind == "persistent")
            for kind in ("persistent", "new")
            for number in range(6)
        )

    def _run(self, device: str, *, keep_alive: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        headers = {**as_device(self._token, device), "Content-Type": "application/json"}
        while not self.stopping.is_set():
            for method, path, body in (("GET", DEVICE, None), ("POST", UPLOADS, BODY)):
                started_at = rfc3339(now()) or ""
                with suppress(OSError, http.client.HTTPException):
                    connection.request(method, path, body, headers)
                    sent = Sent(device, time.monotonic())
                    self.sent.append(sent)
                    response = Response.read(connection.getresponse())
                    sent.answered_at = time.monotonic()
                    sent.active_at = response.json.get("received_at", started_at)
                    if response.status not in (200, 201):
                        self.unexpected.append(response)
                    if keep_alive:
                        continue
                connection.close()
                self.stopping.wait(0.01)


def test_graceful_stop_under_load_completes_every_request_in_flight(
    make_server: StartServer,
) -> None:
    """A request is in flight if it was sent completely before the signal.

    Later requests may fail, because the server may close the connection at the same time.
    """
    with make_server(WEB_CONCURRENCY="3") as server:
        token = server.create_token()
        with Load(server, token) as load:
            wait_until(lambda: len(load.sent) > 500, 30)
            signaled_at = time.monotonic()
            server.stop()
        devices = {device["identifier"]: device for device in server.devices()}
    before = [sent for sent in load.sent if sent.at < signaled_at]
    assert [sent for sent in before if sent.answered_at is None] == []
    assert any(sent.answered_at and sent.answered_at > signaled_at for sent in before)
    assert load.unexpected == []
    unsaved = [
        sent for sent in load.sent if sent.active_at > devices[sent.device]["last_active_at"]
    ]
    assert unsaved == []


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stop_writes_buffered_activity_and_counts(
    make_server: StartServer, number: signal.Signals
) -> None:
    with make_server(APIDEVICES_ACTIVITY_INTERVAL="1") as server:
        headers = as_device(server.create_token())
        started_at = ""
        for _ in range(5):
            started_at = rfc3339(now()) or ""
            assert server.call("GET", DEVICE, headers).status == 200
        server.process.send_signal(number)
        server.process.wait(30)
        shown = json.loads(server.flask("apidevices", "show", "phone-1", "--json").stdout)
        counted = json.loads(server.flask("apidevices", "activity", "phone-1", "--json").stdout)
    assert shown["last_active_at"] >= started_at
    assert sum(day["requests"] for day in counted["days"]) == 5


@pytest.mark.database("sqlite")
def test_graceful_stop_closes_idle_connections_and_completes_requests(
    make_server: StartServer,
) -> None:
    with make_server(WEB_CONCURRENCY="1") as server:
        token = server.create_token()
        with closing(server.connect()) as idle, incomplete_upload(server, token) as upload:
            idle.request("GET", "/livez")
            Response.read(idle.getresponse())
            server.process.send_signal(signal.SIGTERM)
            assert idle.sock.recv(1) == b""  # the worker is stopping
            upload.sendall(BODY)
            assert read_response(upload).status == 201
        server.process.wait(20)


def test_killed_worker_loses_no_acknowledged_registration(make_server: StartServer) -> None:
    acknowledged: list[str] = []
    done = threading.Event()

    with make_server(WEB_CONCURRENCY="2") as server:
        token = server.create_token()

        def register(thread: int) -> None:
            number = 0
            while not done.is_set():
                number += 1
                identifier = f"phone-{thread}-{number}"
                try:
                    response = server.call("GET", DEVICE, as_device(token, identifier))
                except (OSError, http.client.HTTPException):
                    continue  # no response, so no guarantee
                assert response.status == 200
                acknowledged.append(identifier)

        def kill_a_worker() -> None:
            goal, started = len(acknowledged) + 100, len(server.workers)
            wait_until(lambda: len(acknowledged) > goal)
            os.kill(server.workers[-1], signal.SIGKILL)
            wait_until(lambda: len(server.workers) > started)

        with ThreadPoolExecutor(6) as pool:
            running = [pool.submit(register, thread) for thread in range(6)]
            try:
                kill_a_worker()
                kill_a_worker()
            finally:
                done.set()
            for future in running:
                future.result()
        listed = json.loads(server.flask("apidevices", "list", "--json").stdout)
    assert set(acknowledged) <= {device["identifier"] for device in listed}
