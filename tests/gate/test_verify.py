"""``/verify``: responses to the proxy, and what is recorded about the device."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.globals import app_ctx
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from apidevices import devices, tokens
from apidevices.database import Database
from apidevices.gate import AsyncGate
from apidevices.models import Device
from apidevices.signals import device_denied, device_registered
from harness.databases import Databases
from tests.conftest import (
    DEVICES,
    NOON,
    VERIFY,
    Administrator,
    MakeApp,
    as_device,
    on_the_wire,
    state_of,
)
from tests.event_loops import run_async

ORIGINAL_REQUEST_HEADERS = [
    pytest.param("X-Original-Method", "X-Original-URI", id="nginx"),
    pytest.param("X-Forwarded-Method", "X-Forwarded-Uri", id="Caddy, Traefik"),
]


def code(response: Any) -> str:
    return f"{response.status_code} {response.get_json()['code']}"


def test_allowed_request_gets_200_with_identity_headers(
    client: FlaskClient, token: str, administrator: Administrator
) -> None:
    for name in ("phone-1", "West door"):
        response = client.get(VERIFY, headers=as_device(token))
        assert (response.status_code, response.data) == (200, b"")
        assert response.headers["X-Device-Id"] == "phone-1"
        assert response.headers["X-Device-Name"] == name
        assert response.headers["X-Token-Name"] == "test"
        administrator.rename("West door")


def test_identity_headers_are_percent_encoded(
    client: FlaskClient, token: str, administrator: Administrator
) -> None:
    headers = as_device(token, on_the_wire("设备 100%"))
    client.get(VERIFY, headers=headers)
    administrator.rename("Café, 2", "设备 100%")
    response = client.get(VERIFY, headers=headers)
    assert response.headers["X-Device-Id"] == "%E8%AE%BE%E5%A4%87 100%25"
    assert response.headers["X-Device-Name"] == "Caf%C3%A9, 2"


def test_request_without_identifier_gets_400(client: FlaskClient, token: str) -> None:
    assert code(client.get(VERIFY, headers=as_device(token, None))) == "400 device_id_required"
    assert client.get(DEVICES, headers=as_device(token, None)).status_code == 403  # lacks a scope


def test_request_without_identifier_is_allowed_if_configured(make_gate: MakeApp) -> None:
    app = make_gate(APIDEVICES_REQUIRE_DEVICE_ID="false")
    _, token = tokens.issue(state_of(app).db, "test", actor="ann", now=NOON)
    response = app.test_client().get(VERIFY, headers=as_device(token, None))
    assert (response.status_code, response.headers["X-Token-Name"]) == (200, "test")
    assert response.headers["X-Device-Id"] == response.headers["X-Device-Name"] == ""


def test_token_that_requires_an_identifier_gets_400_without_one(make_gate: MakeApp) -> None:
    app = make_gate(APIDEVICES_REQUIRE_DEVICE_ID="false")
    _, token = tokens.issue(
        state_of(app).db, "test", requires_device_id=True, actor="ann", now=NOON
    )
    client = app.test_client()
    assert code(client.get(VERIFY, headers=as_device(token, None))) == "400 device_id_required"
    assert client.get(VERIFY, headers=as_device(token)).status_code == 200


def test_device_is_registered_with_its_details(
    client: FlaskClient, token: str, administrator: Administrator
) -> None:
    client.get(VERIFY, headers=as_device(token, model="Pixel 9"))
    assert administrator.device()["model"] == "Pixel 9"


@pytest.mark.parametrize(("method", "uri"), ORIGINAL_REQUEST_HEADERS)
def test_only_post_counts_as_upload(
    client: FlaskClient, token: str, administrator: Administrator, method: str, uri: str
) -> None:
    headers = {**as_device(token), uri: "/orders"}
    client.get(VERIFY, headers={**headers, method: "GET"})
    assert administrator.device()["last_upload_at"] is None
    client.get(VERIFY, headers={**headers, method: "POST"})
    assert administrator.device()["last_upload_at"] is not None


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("path", ["/", "//x", "/a//b", "/orders/"])
def test_any_path_below_verify_is_accepted(client: FlaskClient, token: str, path: str) -> None:
    response = client.get(f"http://localhost{VERIFY}{path}", headers=as_device(token))
    assert response.status_code == 200


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PURGE"])
def test_subrequest_can_carry_the_original_method_and_path(
    client: FlaskClient, token: str, administrator: Administrator, method: str
) -> None:
    response = client.open(f"{VERIFY}/orders/17?x=1", method=method, headers=as_device(token))
    assert response.status_code == 200
    assert (administrator.device()["last_upload_at"] is not None) == (method == "POST")


def test_blocked_device_gets_403(
    client: FlaskClient, token: str, administrator: Administrator
) -> None:
    client.get(VERIFY, headers=as_device(token))
    administrator.block()
    assert code(client.get(VERIFY, headers=as_device(token))) == "403 device_blocked"
    administrator.unblock()
    assert client.get(VERIFY, headers=as_device(token)).status_code == 200


def test_missing_token_gets_401(client: FlaskClient) -> None:
    response = client.get(VERIFY)
    assert code(response) == "401 token_missing"
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_revoked_token_gets_401(client: FlaskClient, db: Database, token: str) -> None:
    tokens.revoke(db, 1, actor="ann", now=NOON)
    assert code(client.get(VERIFY, headers=as_device(token))) == "401 token_invalid"


def test_invalid_identifier_gets_400(client: FlaskClient, token: str) -> None:
    assert code(client.get(VERIFY, headers=as_device(token, "a,b"))) == "400 device_id_invalid"


def test_problem_is_repeated_in_a_header(client: FlaskClient) -> None:
    response = client.get(VERIFY)
    assert response.headers["X-Problem"] == response.text.strip()


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("is_async", [False, True])
def test_unexpected_error_gets_a_problem_and_is_logged(
    app: Flask, token: str, caplog: pytest.LogCaptureFixture, *, is_async: bool
) -> None:
    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError

    request = EnvironBuilder(VERIFY, headers=Headers(as_device(token))).get_environ()
    with ThreadPoolExecutor(1) as executor, pytest.MonkeyPatch.context() as patch:
        gate = AsyncGate(app, executor)
        patch.setattr(state_of(app).gate_tracker, "read", fail)
        response = run_async(gate.respond_async(request)) if is_async else gate.respond(request)
        gate.close()
    assert (response.status, json.loads(response.body)["code"]) == (500, "internal_error")
    assert "ZeroDivisionError" in caplog.text


def test_unavailable_database_gets_503(
    make_gate: MakeApp, databases: Databases, tmp_path: Path
) -> None:
    client = make_gate(**databases.unavailable(tmp_path / "unavailable")).test_client()
    response = client.get(VERIFY, headers=as_device("x"))
    assert (code(response), response.headers["Retry-After"]) == ("503 unavailable", "2")


PREFLIGHT = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(("method", "_uri"), ORIGINAL_REQUEST_HEADERS)
def test_preflight_request_is_allowed_and_not_recorded(
    client: FlaskClient, administrator: Administrator, method: str, _uri: str
) -> None:
    response = client.get(VERIFY, headers={**PREFLIGHT, method: "OPTIONS"})
    assert response.status_code == 200
    assert response.headers["X-Device-Id"] == response.headers["X-Token-Name"] == ""
    assert administrator.devices() == []


def test_preflight_request_below_verify_is_allowed(client: FlaskClient) -> None:
    assert client.options(f"{VERIFY}/orders", headers=PREFLIGHT).status_code == 200


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        pytest.param({"X-Original-Method": "GET"}, "401 token_missing", id="other method"),
        pytest.param({"X-Original-Method": "options"}, "401 token_missing", id="lowercase method"),
        pytest.param({"Origin": ""}, "401 token_missing", id="empty origin"),
        pytest.param({"Origin": None}, "401 token_missing", id="no origin"),
        pytest.param(
            {"Access-Control-Request-Method": None}, "401 token_missing", id="no requested method"
        ),
        pytest.param({"Authorization": "Bearer x"}, "401 token_invalid", id="token"),
        pytest.param({"X-Device-ID": "phone-1"}, "401 token_missing", id="device"),
        pytest.param({"X-Device-ID": ""}, "401 token_missing", id="empty device"),
    ],
)
def test_request_that_is_not_a_browser_preflight_is_checked(
    client: FlaskClient, changed: dict[str, str | None], problem: str
) -> None:
    headers = {"X-Original-Method": "OPTIONS", **PREFLIGHT, **changed}
    sent = {name: value for name, value in headers.items() if value is not None}
    assert code(client.get(VERIFY, headers=sent)) == problem


# --- without tokens ----------------------------------------------------------------------------


@pytest.fixture
def tokenless_app(make_gate: MakeApp) -> Flask:
    """A gate in front of an API that authenticates its callers itself."""
    return make_gate(APIDEVICES_GATE_TOKENS="false")


def test_tokenless_gate_checks_only_the_device(tokenless_app: Flask, db: Database) -> None:
    client = tokenless_app.test_client()
    response = client.get(VERIFY, headers={"X-Device-ID": "phone-1"})
    assert (response.status_code, response.headers["X-Device-Name"]) == (200, "phone-1")
    assert response.headers["X-Token-Name"] == ""
    devices.block(db, 1, actor="ann", now=NOON)
    assert code(client.get(VERIFY, headers={"X-Device-ID": "phone-1"})) == "403 device_blocked"


def test_tokenless_gate_requires_an_identifier(tokenless_app: Flask) -> None:
    assert code(tokenless_app.test_client().get(VERIFY)) == "400 device_id_required"


def test_tokenless_gate_allows_requests_without_device_if_configured(make_gate: MakeApp) -> None:
    app = make_gate(APIDEVICES_GATE_TOKENS="false", APIDEVICES_REQUIRE_DEVICE_ID="false")
    assert app.test_client().get(VERIFY).status_code == 200


def test_client_api_needs_a_token_even_if_the_gate_does_not(tokenless_app: Flask) -> None:
    response = tokenless_app.test_client().get("/api/v1/device", headers={"X-Device-ID": "phone-1"})
    assert code(response) == "401 token_missing"


# --- signals -----------------------------------------------------------------------------------


def test_signals_are_sent_in_the_context_of_the_application(
    app: Flask, client: FlaskClient, token: str, administrator: Administrator
) -> None:
    received = []

    def receive(sender: Flask, device: Device) -> None:
        received.append((sender is app and app_ctx.app is app, device.identifier))

    with device_registered.connected_to(receive), device_denied.connected_to(receive):
        client.get(VERIFY, headers=as_device(token))
        administrator.block()
        client.get(VERIFY, headers=as_device(token))
    assert received == [(True, "phone-1"), (True, "phone-1")]


# --- changes -----------------------------------------------------------------------------------


def test_changed_detail_is_stored(
    client: FlaskClient, token: str, administrator: Administrator
) -> None:
    for version in ("17", "18"):
        client.get(VERIFY, headers=as_device(token, os_version=version))
    assert administrator.device()["os_version"] == "18"


def test_concurrent_requests_each_get_their_own_device(client: FlaskClient, token: str) -> None:
    identifiers = [f"phone-{number}" for number in range(40)]

    def identified(identifier: str) -> str:
        response = client.application.test_client().get(
            VERIFY, headers=as_device(token, identifier)
        )
        return response.headers["X-Device-Id"]

    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(identified, identifiers)) == identifiers
