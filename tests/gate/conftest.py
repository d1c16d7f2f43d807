"""Fixtures for the gate: in each of the ways in which it runs, and behind real proxies.

All tests of a module share one real gate, so each uses its own device.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices.gate import Gate
from harness.proxies import PROXIES
from harness.real_server import RealServer
from tests.conftest import MakeApp, as_device
from tests.gate.event_loop import InEventLoop
from tests.gate.proxied import ProxiedApi, proxied_api
from tests.gate.upstream import Upstream, upstream


@pytest.fixture(scope="module")
def api() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    instance = tmp_path_factory.mktemp("gate") / "instance"
    variables = {"APIDEVICES_PROXIES": "1", "APIDEVICES_ACCESS_LOG": "true"}
    with RealServer(instance, variables=variables) as running:
        yield running


@pytest.fixture(scope="module")
def gate_token(gate: RealServer) -> str:
    return gate.create_token("shop", "devices:read", "devices:write")


@pytest.fixture(scope="module", params=list(PROXIES))
def proxied(
    request: pytest.FixtureRequest, gate: RealServer, api: Upstream
) -> Iterator[ProxiedApi]:
    with proxied_api(request.param, gate, api) as running:
        yield running


@pytest.fixture
def identifier(request: pytest.FixtureRequest) -> str:
    """A device identifier that is unique to the test."""
    name: str = request.node.name
    return name


@pytest.fixture
def headers(gate_token: str, identifier: str) -> dict[str, str]:
    return as_device(gate_token, identifier)


# --- without a proxy ---------------------------------------------------------------------------


@pytest.fixture(params=["WSGI middleware", "event loop", "blueprint"])
def make_gate(request: pytest.FixtureRequest, make_app: MakeApp) -> Iterator[MakeApp]:
    """Create applications whose gate runs in one of the three ways."""
    running: list[InEventLoop] = []

    def make(**variables: str) -> Flask:
        app = make_app(**variables)
        middleware: Any = app.wsgi_app
        assert isinstance(middleware.wsgi_app, Gate)
        if request.param == "blueprint":
            del app.wsgi_app  # the standalone application has replaced the method
        elif request.param == "event loop":
            running.append(InEventLoop(app))
            app.wsgi_app = running[-1]  # type: ignore[method-assign]  # as Flask documents
        return app

    yield make
    for gate in running:
        gate.close()


@pytest.fixture
def app(make_gate: MakeApp) -> Flask:
    return make_gate()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
