"""Real proxies with the configurations in deploy/, in front of a non-Flask API."""

import http.client
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.proxies import PROXIES, running_proxy
from harness.real_server import RealServer, Response, wait_until
from tests.conftest import StartServer, as_device
from tests.gate.upstream import Upstream, upstream
from tests.server.management import devices

# All tests share one gate and one API, so each test uses its own device.
pytestmark = pytest.mark.database("sqlite")


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
def token(gate: RealServer) -> str:
    return gate.create_token("shop", "devices:read", "devices:write")


@contextmanager
def running_in_front_of(
    name: str, folder: Path, gate: RealServer, api: Upstream
) -> Iterator[ProxiedApi]:
    if shutil.which(name) is None and "CI" not in os.environ:
        pytest.skip(f"{name} is not installed.")
    with running_proxy(name, folder, gate.port, api.port) as port:
        yield ProxiedApi(port, api, gate)


@pytest.fixture(scope="module", params=list(PROXIES))
def proxied(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    gate: RealServer,
    api: Upstream,
) -> Iterator[ProxiedApi]:
    with running_in_front_of(request.param, tmp_path_factory.mktemp("proxy"), gate, api) as running:
        yield running


@pytest.fixture
def identifier(request: pytest.FixtureRequest) -> str:
    """A device identifier that is unique to the test."""
    name: str = request.node.name
    return name


@pytest.fixture
def headers(token: str, identifier: str) -> dict[str, str]:
    return as_device(token, identifier)


def change(proxied: ProxiedApi, token: str, identifier: str, action: str) -> None:
    [device] = devices(proxied.gate, token, identifier)
    path = f"/api/v1/devices/{device['id']}/{action}"
    assert proxied.gate.call("POST", path, as_device(token, None)).status == 200


def test_allowed_request_reaches_the_api_unchanged(
    proxied: ProxiedApi, headers: dict[str, str]
) -> None:
    response = proxied.call(headers, "POST", "/orders?day=1", "three tickets")
    assert response.status == 200
    received = response.json
    assert (received["method"], received["path"], received["body"]) == (
        "POST",
        "/orders?day=1",
        "three tickets",
    )


def test_api_receives_headers_that_identify_the_caller(
    proxied: ProxiedApi, headers: dict[str, str], identifier: str
) -> None:
    received = proxied.call(headers).json["headers"]
    assert (received["x-device-id"], received["x-device-name"]) == (identifier, identifier)
    assert received["x-token-name"] == "shop"


def test_identity_headers_from_the_client_are_dropped(proxied: ProxiedApi, token: str) -> None:
    forged = {"X-Device-Name": "boss", "X-Token-Name": "root"}
    forged |= {"X_Device_Name": "boss", "X-Device_Name": "boss", "X_Token_Name": "root"}
    received = proxied.call(as_device(token, None) | forged).json["headers"]
    assert received["x-token-name"] == "shop"
    assert not received.get("x-device-name")
    assert not received.get("x-device-id")
    assert [name for name in received if "_" in name] == []


def logged_at_the_gate(proxied: ProxiedApi, request_id: str) -> bool:
    return any(line.endswith(f"[{request_id}]") for line in proxied.gate.log.splitlines())


def test_gate_api_and_client_get_the_same_request_id(
    proxied: ProxiedApi, headers: dict[str, str]
) -> None:
    responses = [proxied.call(headers | {"X-Request-ID": "forged"}) for _ in range(2)]
    at_api = [response.json["headers"]["x-request-id"] for response in responses]
    at_client = [response.headers.get_all("X-Request-ID") for response in responses]
    assert at_client == [[request_id] for request_id in at_api]
    assert len({*at_api, "forged"}) == 3
    assert all(logged_at_the_gate(proxied, request_id) for request_id in at_api)


def test_denied_client_gets_the_request_id_of_the_gate(proxied: ProxiedApi) -> None:
    response = proxied.call({"X-Request-ID": "forged"})
    [request_id] = response.headers.get_all("X-Request-ID", [])
    assert request_id != "forged"
    assert logged_at_the_gate(proxied, request_id)


def test_websocket_upgrade_request_reaches_the_api(
    proxied: ProxiedApi, headers: dict[str, str]
) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert proxied.call(headers | upgrade).status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/orders"), ("POST", "/orders"), ("GET", "/no/such/path")]
)
def test_blocked_device_does_not_reach_the_api(
    proxied: ProxiedApi,
    token: str,
    headers: dict[str, str],
    identifier: str,
    method: str,
    path: str,
) -> None:
    proxied.call(headers)
    change(proxied, token, identifier, "block")
    proxied.api.seen.clear()
    response = proxied.call(headers, method, path)
    assert (response.status, response.json["code"]) == (403, "device_blocked")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert proxied.api.seen == []
    change(proxied, token, identifier, "unblock")
    assert proxied.call(headers, "GET", "/orders").status == 200


def test_404_of_the_api_reaches_the_client(proxied: ProxiedApi, headers: dict[str, str]) -> None:
    assert proxied.call(headers, path="/no/such/path").status == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_post_counts_as_upload(
    proxied: ProxiedApi, token: str, headers: dict[str, str], identifier: str, method: str
) -> None:
    forged = {"X-Original-Method": "POST", "X-Forwarded-Method": "POST"} if method == "GET" else {}
    proxied.call(headers | forged, method)
    proxied.call(headers | forged, method)

    def is_written() -> bool:
        [device] = devices(proxied.gate, token, identifier)
        return bool(device["last_active_at"] > device["first_seen_at"])

    wait_until(is_written)
    [device] = devices(proxied.gate, token, identifier)
    assert (device["last_upload_at"] is not None) == (method == "POST")


def test_history_has_the_address_of_the_client(
    proxied: ProxiedApi, token: str, headers: dict[str, str], identifier: str
) -> None:
    proxied.call(headers | {"X-Forwarded-For": "203.0.113.9"})
    [device] = devices(proxied.gate, token, identifier)
    path = f"/api/v1/devices/{device['id']}/history"
    [entry] = proxied.gate.call("GET", path, as_device(token, None)).json["history"]
    assert entry["address"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("sent", "status", "problem"),
    [
        ({}, 401, "token_missing"),
        ({"Authorization": "Bearer x"}, 401, "token_invalid"),
    ],
)
def test_missing_or_invalid_token_gets_401(
    proxied: ProxiedApi, sent: dict[str, str], status: int, problem: str
) -> None:
    response = proxied.call(sent)
    assert (response.status, response.json["code"]) == (status, problem)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert "Retry-After" not in response.headers


def test_invalid_identifier_gets_400(proxied: ProxiedApi, token: str) -> None:
    response = proxied.call(as_device(token, "a,b"))
    assert (response.status, response.json["code"]) == (400, "device_id_invalid")


PREFLIGHT = {
    "Origin": "https://shop.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,x-device-id",
}


def test_preflight_request_reaches_the_api(proxied: ProxiedApi) -> None:
    response = proxied.call(PREFLIGHT, "OPTIONS")
    assert (response.status, response.json["method"]) == (200, "OPTIONS")
    received = response.json["headers"]
    assert {name: received[name.lower()] for name in PREFLIGHT} == PREFLIGHT


@pytest.mark.parametrize(
    ("method", "sent"), [("OPTIONS", {}), ("GET", PREFLIGHT), ("POST", PREFLIGHT)]
)
def test_options_method_or_preflight_headers_alone_do_not_bypass_the_gate(
    proxied: ProxiedApi, method: str, sent: dict[str, str]
) -> None:
    forged = {"X-Original-Method": "OPTIONS", "X-Forwarded-Method": "OPTIONS"}
    proxied.api.seen.clear()
    response = proxied.call(sent | forged, method)
    assert (response.status, response.json["code"]) == (401, "token_missing")
    assert proxied.api.seen == []


def stop(gate: RealServer) -> None:
    gate.stop()


def hang(gate: RealServer) -> None:
    for worker in gate.workers:
        os.kill(worker, signal.SIGSTOP)


@pytest.mark.parametrize("name", list(PROXIES))
@pytest.mark.parametrize("disable", [stop, hang])
def test_requests_are_denied_while_the_gate_does_not_respond(
    name: str,
    disable: Callable[[RealServer], None],
    make_server: StartServer,
    api: Upstream,
    tmp_path: Path,
) -> None:
    with make_server(APIDEVICES_PROXIES="1") as gate:
        headers = as_device(gate.create_token("shop"))
        with running_in_front_of(name, tmp_path, gate, api) as proxied:
            assert proxied.call(headers).status == 200
            disable(gate)
            api.seen.clear()
            response = proxied.call(headers)
            for worker in gate.workers if disable is hang else ():
                os.kill(worker, signal.SIGCONT)
    assert (response.status, response.json["code"]) == (503, "unavailable")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Retry-After"] == "2"
    assert api.seen == []
