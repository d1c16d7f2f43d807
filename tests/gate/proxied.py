"""An API behind a real proxy that asks the gate."""

import http.client
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pytest

from harness.proxies import program, running_proxy
from harness.real_server import RealServer, Response
from tests.conftest import as_device
from tests.gate.upstream import Upstream
from tests.server.management import devices


@dataclass(frozen=True)
class ProxiedApi:
    """An API behind a proxy on ``port`` that asks the gate about each request."""

    port: int
    api: Upstream
    gate: RealServer

    def call(
        self,
        headers: Mapping[str, str],
        method: str = "GET",
        path: str = "/orders",
        body: str | None = None,
    ) -> Response:
        """Send a request through the proxy."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, dict(headers))
            return Response.read(connection.getresponse())


def require_program(name: str) -> None:
    """Skip the test if a proxy is not installed, except in CI."""
    if program(name) is None and "CI" not in os.environ:
        pytest.skip(f"{name} is not installed.")


@contextmanager
def proxied_api(name: str, gate: RealServer, api: Upstream) -> Iterator[ProxiedApi]:
    """Run a proxy in front of an API."""
    require_program(name)
    with running_proxy(name, gate.port, api.port) as port:
        yield ProxiedApi(port, api, gate)


def change(gate: RealServer, token: str, identifier: str, action: str) -> None:
    """Block or unblock a device through the management API."""
    [device] = devices(gate, token, identifier)
    path = f"/api/v1/devices/{device['id']}/{action}"
    assert gate.call("POST", path, as_device(token, None)).status == 200
