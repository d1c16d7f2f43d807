"""Real proxies with the configurations in deploy/, in front of a non-Flask API."""

import os
import signal
import socket

import pytest

from harness.proxies import PROXIES
from harness.real_server import RealServer, wait_until
from tests.conftest import StartServer, as_device
from tests.gate.proxied import ProxiedApi, change, proxied_api
from tests.gate.upstream import Upstream
from tests.server.management import devices

pytestmark = pytest.mark.database("sqlite")


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


def test_identity_headers_from_the_client_are_dropped(
    proxied: ProxiedApi, headers: dict[str, str], identifier: str
) -> None:
    forged = {"X-Device-Name": "boss", "X-Token-Name": "root"}
    forged |= {"X_Device_Name": "boss", "X-Device_Name": "boss", "X_Token_Name": "root"}
    forged |= {"X-Original-Method": "OPTIONS", "X-Original-URI": "/"}
    received = proxied.call(headers | forged).json["headers"]
    assert received["x-token-name"] == "shop"
    assert received["x-device-id"] == received["x-device-name"] == identifier
    assert [name for name in received if "_" in name or "x-original" in name] == []


def test_request_without_identifier_does_not_reach_the_api(
    proxied: ProxiedApi, gate_token: str
) -> None:
    response = proxied.call(as_device(gate_token, None))
    assert (response.status, response.json["code"]) == (400, "device_id_required")


@pytest.fixture(scope="module")
def limited_token(gate: RealServer) -> str:
    command = ("apidevices", "create-token", "limited", "--new-devices-per-hour", "1")
    return gate.flask(*command).stdout.strip()


def test_refused_registration_says_when_to_retry(
    proxied: ProxiedApi, limited_token: str, identifier: str
) -> None:
    proxied.call(as_device(limited_token, f"{identifier}-1"))
    refused = proxied.call(as_device(limited_token, f"{identifier}-2"))
    assert (refused.status, refused.json["code"]) == (429, "rate_limited")
    assert 3_000 < int(refused.headers["Retry-After"]) <= 3_600


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
    wait_until(lambda: all(logged_at_the_gate(proxied, request_id) for request_id in at_api))


def test_denied_client_gets_the_request_id_of_the_gate(proxied: ProxiedApi) -> None:
    response = proxied.call({"X-Request-ID": "forged"})
    [request_id] = response.headers.get_all("X-Request-ID", [])
    assert request_id != "forged"
    wait_until(lambda: logged_at_the_gate(proxied, request_id))


def test_client_cannot_remove_identity_headers_as_connection_options(
    proxied: ProxiedApi, headers: dict[str, str], identifier: str
) -> None:
    options = {"Connection": "close, X-Device-Name, X-Token-Name"}
    received = proxied.call(headers | options).json["headers"]
    assert (received["x-device-id"], received["x-device-name"]) == (identifier, identifier)
    assert received["x-token-name"] == "shop"


@pytest.mark.parametrize(
    "path", ["/../livez", "/orders/../../livez", "/%2e%2e/livez", "//livez", "/..%2flivez"]
)
def test_path_that_leads_elsewhere_on_the_gate_does_not_bypass_it(
    proxied: ProxiedApi, path: str
) -> None:
    proxied.api.seen.clear()
    assert proxied.call({}, path=path).status in (400, 401)
    assert proxied.api.seen == []


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/orders"), ("POST", "/orders"), ("GET", "/no/such/path")]
)
def test_blocked_device_does_not_reach_the_api(
    proxied: ProxiedApi,
    gate_token: str,
    headers: dict[str, str],
    identifier: str,
    method: str,
    path: str,
) -> None:
    proxied.call(headers)
    change(proxied.gate, gate_token, identifier, "block")
    proxied.api.seen.clear()
    response = proxied.call(headers, method, path)
    assert (response.status, response.json["code"]) == (403, "device_blocked")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert proxied.api.seen == []
    change(proxied.gate, gate_token, identifier, "unblock")
    assert proxied.call(headers, "GET", "/orders").status == 200


def test_404_of_the_api_reaches_the_client(proxied: ProxiedApi, headers: dict[str, str]) -> None:
    assert proxied.call(headers, path="/no/such/path").status == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_post_counts_as_upload(
    proxied: ProxiedApi, gate_token: str, headers: dict[str, str], identifier: str, method: str
) -> None:
    forged = {"X-Original-Method": "POST", "X-Forwarded-Method": "POST"} if method == "GET" else {}
    proxied.call(headers | forged, method)
    proxied.call(headers | forged, method)

    def is_written() -> bool:
        [device] = devices(proxied.gate, gate_token, identifier)
        return bool(device["last_active_at"] > device["first_seen_at"])

    wait_until(is_written)
    [device] = devices(proxied.gate, gate_token, identifier)
    assert (device["last_upload_at"] is not None) == (method == "POST")


def test_history_has_the_address_of_the_client(
    proxied: ProxiedApi, gate_token: str, headers: dict[str, str], identifier: str
) -> None:
    proxied.call(headers | {"X-Forwarded-For": "203.0.113.9"})
    [device] = devices(proxied.gate, gate_token, identifier)
    path = f"/api/v1/devices/{device['id']}/history"
    [entry] = proxied.gate.call("GET", path, as_device(gate_token, None)).json["history"]
    with socket.socket() as probe:  # Envoy sends another address of this machine for 127.0.0.1
        probe.bind((entry["address"], 0))


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


def test_invalid_identifier_gets_400(proxied: ProxiedApi, gate_token: str) -> None:
    response = proxied.call(as_device(gate_token, "a,b"))
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


def signal_workers(gate: RealServer, number: signal.Signals) -> None:
    for worker in gate.workers:
        os.kill(worker, number)


@pytest.mark.parametrize("name", list(PROXIES))
def test_requests_are_denied_while_the_gate_hangs_or_is_stopped(
    name: str, make_server: StartServer, api: Upstream
) -> None:
    with make_server(APIDEVICES_PROXIES="1") as gate:
        headers = as_device(gate.create_token("shop"))
        with proxied_api(name, gate, api) as proxied:
            assert proxied.call(headers).status == 200
            signal_workers(gate, signal.SIGSTOP)
            assert_unavailable(proxied, headers, api)
            signal_workers(gate, signal.SIGCONT)
            wait_until(lambda: proxied.call(headers).status == 200)
            gate.stop()
            assert_unavailable(proxied, headers, api)


def assert_unavailable(proxied: ProxiedApi, headers: dict[str, str], api: Upstream) -> None:
    api.seen.clear()
    response = proxied.call(headers)
    assert (response.status, response.json["code"]) == (503, "unavailable")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Retry-After"] == "2"
    assert api.seen == []
