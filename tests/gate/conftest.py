"""Fixtures for real proxies. All tests of a module share one gate, so each uses its own device."""

from collections.abc import Iterator

import pytest

from harness.proxies import PROXIES
from harness.real_server import RealServer
from tests.conftest import as_device
from tests.gate.proxied import ProxiedApi, proxied_api
from tests.gate.upstream import Upstream, upstream


@pytest.fixture(scope="module")
def api() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    instance = tmp_path_factory.mktemp("gate") / "instance"
    with RealServer(instance, variables={"APIDEVICES_PROXIES": "1"}) as running:
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
