"""Connections from real proxies to the gate."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.counting_proxy import counting_proxy
from harness.proxies import PROXIES, running_proxy
from harness.real_server import RealServer
from tests.gate.proxied import require_program
from tests.gate.upstream import Upstream

pytestmark = [pytest.mark.database("sqlite"), pytest.mark.parametrize("name", list(PROXIES))]

CLIENTS, REQUESTS = 4, 50


def send_requests(port: int, headers: dict[str, str], count: int) -> set[int]:
    """Send requests on one connection. Return the status codes of the responses."""
    statuses = set()
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        for _ in range(count):
            connection.request("GET", "/orders", headers=headers)
            with connection.getresponse() as response:
                response.read()
            statuses.add(response.status)
    return statuses


def test_proxy_reuses_connections_to_the_gate(
    name: str, gate: RealServer, api: Upstream, headers: dict[str, str]
) -> None:
    require_program(name)
    with (
        counting_proxy(gate.port) as counter,
        running_proxy(name, counter.port, api.port) as port,
        ThreadPoolExecutor(CLIENTS) as clients,
    ):
        for _ in range(REQUESTS):
            assert send_requests(port, headers, 1) == {200}
        calls = [clients.submit(send_requests, port, headers, REQUESTS) for _ in range(CLIENTS)]
        assert all(call.result() == {200} for call in calls)
        assert counter.connections <= 25


@contextmanager
def closing_gate() -> Iterator[int]:
    """Run a gate that reads the second request on a connection and closes it. Yield its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        requests = 0

        def do_GET(self) -> None:
            self.requests += 1
            if self.requests > 1:
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_request_passes_if_the_gate_closes_a_reused_connection(name: str, api: Upstream) -> None:
    require_program(name)
    with closing_gate() as gate, running_proxy(name, gate, api.port) as port:
        assert send_requests(port, {}, 10) == {200}
