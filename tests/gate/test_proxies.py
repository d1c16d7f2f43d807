"""Real proxies with the configurations in deploy/, in front of an API that is not Flask."""

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
from harness.real_server import Answer, RealServer, wait_until
from tests.conftest import StartServer, as_device
from tests.gate.upstream import Upstream, upstream
from tests.server.management import devices

# Every proxy of every test has the same gate and the same API; each test has devices of its own.
pytestmark = pytest.mark.database("sqlite")


@dataclass(frozen=True)
class Proxied:
    """A proxy on ``port``, and what is behind it."""

    port: int
    api: Upstream
    gate: RealServer

    def call(
        self,
        headers: Mapping[str, str],
        method: str = "GET",
        path: str = "/orders",
        body: str | None = None,
    ) -> Answer:
        """Make a request by way of the proxy."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, dict(headers))
            return Answer.read(connection.getresponse())


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
def token(gate: RealServer) -> str:
    return gate.create_token("shop", "devices:read", "devices:write")


@contextmanager
def in_front(name: str, folder: Path, gate: RealServer, api: Upstream) -> Iterator[Proxied]:
    if shutil.which(name) is None and "CI" not in os.environ:
        pytest.skip(f"There is no {name}.")
    with running_proxy(name, folder, gate.port, api.port) as port:
        yield Proxied(port, api, gate)


@pytest.fixture(scope="module", params=list(PROXIES))
def proxied(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    gate: RealServer,
    api: Upstream,
) -> Iterator[Proxied]:
    with in_front(request.param, tmp_path_factory.mktemp("proxy"), gate, api) as running:
        yield running


@pytest.fixture
def identifier(request: pytest.FixtureRequest) -> str:
    """A device that no other test has."""
    name: str = request.node.name
    return name


@pytest.fixture
def headers(token: str, identifier: str) -> dict[str, str]:
    return as_device(token, identifier)


def change(proxied: Proxied, token: str, identifier: str, action: str) -> None:
    [device] = devices(proxied.gate, token, identifier)
    path = f"/api/v1/devices/{device['id']}/{action}"
    assert proxied.gate.call("POST", path, as_device(token, None)).status == 200


def test_request_that_may_pass_reaches_the_api_as_it_is(
    proxied: Proxied, headers: dict[str, str]
) -> None:
    answer = proxied.call(headers, "POST", "/orders?day=1", "three tickets")
    assert answer.status == 200
    told = answer.json
    assert (told["method"], told["path"], told["body"]) == (
        "POST",
        "/orders?day=1",
        "three tickets",
    )


def test_api_is_told_who_calls(proxied: Proxied, headers: dict[str, str], identifier: str) -> None:
    told = proxied.call(headers).json["headers"]
    assert (told["x-device-id"], told["x-device-name"]) == (identifier, identifier)
    assert told["x-token-name"] == "shop"


def test_what_a_client_says_of_these_is_dropped(proxied: Proxied, token: str) -> None:
    made_up = {"X-Device-Name": "boss", "X-Token-Name": "root"}
    made_up |= {"X_Device_Name": "boss", "X-Device_Name": "boss", "X_Token_Name": "root"}
    told = proxied.call(as_device(token, None) | made_up).json["headers"]
    assert told["x-token-name"] == "shop"
    assert not told.get("x-device-name")
    assert not told.get("x-device-id")
    assert [name for name in told if "_" in name] == []


def test_websocket_may_pass(proxied: Proxied, headers: dict[str, str]) -> None:
    asked = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert proxied.call(headers | asked).status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/orders"), ("POST", "/orders"), ("GET", "/no/such/path")]
)
def test_blocked_device_does_not_reach_the_api(
    proxied: Proxied, token: str, headers: dict[str, str], identifier: str, method: str, path: str
) -> None:
    proxied.call(headers)
    change(proxied, token, identifier, "block")
    proxied.api.seen.clear()
    answer = proxied.call(headers, method, path)
    assert (answer.status, answer.json["code"]) == (403, "device_blocked")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert proxied.api.seen == []
    change(proxied, token, identifier, "unblock")
    assert proxied.call(headers, "GET", "/orders").status == 200


def test_path_that_the_api_does_not_have_is_its_own_answer(
    proxied: Proxied, headers: dict[str, str]
) -> None:
    assert proxied.call(headers, path="/no/such/path").status == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_a_post_is_an_upload(
    proxied: Proxied, token: str, headers: dict[str, str], identifier: str, method: str
) -> None:
    made_up = {"X-Original-Method": "POST", "X-Forwarded-Method": "POST"} if method == "GET" else {}
    proxied.call(headers | made_up, method)
    proxied.call(headers | made_up, method)

    def written() -> bool:
        [device] = devices(proxied.gate, token, identifier)
        return bool(device["last_active_at"] > device["first_seen_at"])

    wait_until(written)
    [device] = devices(proxied.gate, token, identifier)
    assert (device["last_upload_at"] is not None) == (method == "POST")


def test_address_in_the_history_is_the_client_s(
    proxied: Proxied, token: str, headers: dict[str, str], identifier: str
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
def test_request_without_a_token_is_told_so(
    proxied: Proxied, sent: dict[str, str], status: int, problem: str
) -> None:
    answer = proxied.call(sent)
    assert (answer.status, answer.json["code"]) == (status, problem)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "Retry-After" not in answer.headers


def test_identifier_that_can_t_be_one_is_told_so(proxied: Proxied, token: str) -> None:
    answer = proxied.call(as_device(token, "a,b"))
    assert (answer.status, answer.json["code"]) == (400, "device_id_invalid")


PREFLIGHT = {
    "Origin": "https://shop.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,x-device-id",
}


def test_preflight_reaches_the_api(proxied: Proxied) -> None:
    answer = proxied.call(PREFLIGHT, "OPTIONS")
    assert (answer.status, answer.json["method"]) == (200, "OPTIONS")
    told = answer.json["headers"]
    assert {name: told[name.lower()] for name in PREFLIGHT} == PREFLIGHT


@pytest.mark.parametrize(
    ("method", "sent"), [("OPTIONS", {}), ("GET", PREFLIGHT), ("POST", PREFLIGHT)]
)
def test_what_is_no_preflight_does_not_reach_the_api(
    proxied: Proxied, method: str, sent: dict[str, str]
) -> None:
    made_up = {"X-Original-Method": "OPTIONS", "X-Forwarded-Method": "OPTIONS"}
    proxied.api.seen.clear()
    answer = proxied.call(sent | made_up, method)
    assert (answer.status, answer.json["code"]) == (401, "token_missing")
    assert proxied.api.seen == []


def stop(gate: RealServer) -> None:
    gate.stop()


def hang(gate: RealServer) -> None:
    for worker in gate.workers:
        os.kill(worker, signal.SIGSTOP)


@pytest.mark.parametrize("name", list(PROXIES))
@pytest.mark.parametrize("end", [stop, hang])
def test_gate_that_does_not_answer_fails_closed(
    name: str,
    end: Callable[[RealServer], None],
    make_server: StartServer,
    api: Upstream,
    tmp_path: Path,
) -> None:
    with make_server(APIDEVICES_PROXIES="1") as gate:
        headers = as_device(gate.create_token("shop"))
        with in_front(name, tmp_path, gate, api) as proxied:
            assert proxied.call(headers).status == 200
            end(gate)
            api.seen.clear()
            answer = proxied.call(headers)
            for worker in gate.workers if end is hang else ():
                os.kill(worker, signal.SIGCONT)
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Retry-After"] == "2"
    assert api.seen == []
