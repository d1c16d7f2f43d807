"""The end of the server, asked for or not: nobody who was being served is cut off."""

import http.client
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

from apidevices.clock import now, rfc3339
from tests.conftest import DEVICE, UPLOADS, StartServer, as_device
from tests.real_server import Answer, RealServer, read_answer, wait_until

BODY = b'{"count": 3}'


@contextmanager
def half_an_upload(server: RealServer, token: str) -> Iterator[socket.socket]:
    """Send an upload but for its body, to a worker that waits for it."""
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


def refuses(server: RealServer) -> bool:
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_port_is_free_while_the_last_request_is_answered(
    make_server: StartServer, number: signal.Signals
) -> None:
    with make_server(WEB_CONCURRENCY="2") as server:
        with half_an_upload(server, server.create_token()) as upload:
            server.process.send_signal(number)
            wait_until(lambda: refuses(server), 10)
            upload.sendall(BODY)
            assert read_answer(upload).status == 201
        server.process.wait(20)
        server.launch()
        wait_until(server.is_ready)


@dataclass
class Sent:
    """A request that was written in full, and what came of it."""

    device: str
    at: float
    answered: float | None = None
    active_at: str = ""


class Load:
    """Devices that upload and ask without a pause, on connections that are kept alive or not."""

    def __init__(self, server: RealServer, token: str) -> None:
        self.sent: list[Sent] = []
        self.wrong: list[Answer] = []
        self._server = server
        self._token = token
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(f"{kind}-{number}", kind == "kept"))
            for kind in ("kept", "fresh")
            for number in range(6)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _run(self, device: str, keep: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        headers = {**as_device(self._token, device), "Content-Type": "application/json"}
        while not self._enough.is_set():
            for method, path, body in (("GET", DEVICE, None), ("POST", UPLOADS, BODY)):
                asked = rfc3339(now()) or ""
                with suppress(OSError, http.client.HTTPException):
                    connection.request(method, path, body, headers)
                    sent = Sent(device, time.monotonic())
                    self.sent.append(sent)
                    answer = Answer.read(connection.getresponse())
                    sent.answered = time.monotonic()
                    sent.active_at = answer.json.get("received_at", asked)
                    if answer.status not in (200, 201):
                        self.wrong.append(answer)
                    if keep:
                        continue
                connection.close()
                self._enough.wait(0.01)


def test_stop_under_load_answers_and_writes_everything(make_server: StartServer) -> None:
    """A request is in flight when all its bytes were written before the signal was sent.

    Nothing is said of later ones: a client that sends while the server hangs up can't know.
    """
    with make_server(WEB_CONCURRENCY="3") as server:
        token = server.create_token()
        with Load(server, token) as load:
            wait_until(lambda: len(load.sent) > 500, 30)
            signalled = time.monotonic()
            server.stop()
        devices = {device["identifier"]: device for device in server.devices()}
    before = [sent for sent in load.sent if sent.at < signalled]
    assert [sent for sent in before if sent.answered is None] == []
    assert any(sent.answered and sent.answered > signalled for sent in before)
    assert load.wrong == []
    late = [sent for sent in load.sent if sent.active_at > devices[sent.device]["last_active_at"]]
    assert late == []
