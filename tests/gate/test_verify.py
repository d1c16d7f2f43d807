"""``/verify``: what a proxy is told, and what is known of the device after that."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import devices, tokens
from apidevices.database import Database
from harness.databases import Databases
from tests.conftest import NOON, Administrator, MakeApp, as_device, on_the_wire

VERIFY = "/verify"

ORIGINAL = [
    pytest.param("X-Original-Method", "X-Original-URI", id="nginx"),
    pytest.param("X-Forwarded-Method", "X-Forwarded-Uri", id="Caddy, Traefik"),
]


def code(answer: Any) -> str:
    return f"{answer.status_code} {answer.get_json()['code']}"


def test_request_that_may_pass_is_named(
    client: FlaskClient, token: str, administrator: Administrator
) -> None:
    for name in ("phone-1", "West door"):
        answer = client.get(VERIFY, headers=as_device(token))
        assert (answer.status_code, answer.data) == (204, b"")
        assert answer.headers["X-Device-Id"] == "phone-1"
        assert answer.headers["X-Device-Name"] == name
        assert answer.headers["X-Token-Name"] == "test"
        administrator.rename("West door")


def test_names_are_percent_encoded(
    client: FlaskClient, token: str, administrator: Administrator
) -> None:
    headers = as_device(token, on_the_wire("设备 100%"))
    client.get(VERIFY, headers=headers)
    administrator.rename("Café, 2", "设备 100%")
    answer = client.get(VERIFY, headers=headers)
    assert answer.headers["X-Device-Id"] == "%E8%AE%BE%E5%A4%87 100%25"
    assert answer.headers["X-Device-Name"] == "Caf%C3%A9, 2"


def test_request_without_a_device_passes_by_its_token(client: FlaskClient, token: str) -> None:
    answer = client.get(VERIFY, headers=as_device(token, None))
    assert (answer.status_code, answer.headers["X-Token-Name"]) == (204, "test")
    assert answer.headers["X-Device-Id"] == answer.headers["X-Device-Name"] == ""


def test_device_is_registered_with_its_details(
    client: FlaskClient, token: str, administrator: Administrator
) -> None:
    client.get(VERIFY, headers=as_device(token, model="Pixel 9"))
    assert administrator.device()["model"] == "Pixel 9"


@pytest.mark.parametrize(("method", "address"), ORIGINAL)
def test_only_a_post_is_an_upload(
    client: FlaskClient, token: str, administrator: Administrator, method: str, address: str
) -> None:
    asked = {**as_device(token), address: "/orders"}
    client.get(VERIFY, headers={**asked, method: "GET"})
    assert administrator.device()["last_upload_at"] is None
    client.get(VERIFY, headers={**asked, method: "POST"})
    assert administrator.device()["last_upload_at"] is not None


@pytest.mark.parametrize("path", ["/", "//x", "/a//b", "/orders/"])
def test_envoy_asks_for_any_address(client: FlaskClient, token: str, path: str) -> None:
    answer = client.get(f"http://localhost{VERIFY}{path}", headers=as_device(token))
    assert answer.status_code == 204


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PURGE"])
def test_envoy_asks_with_the_request_s_own_method_and_address(
    client: FlaskClient, token: str, administrator: Administrator, method: str
) -> None:
    asked = client.open(f"{VERIFY}/orders/17?x=1", method=method, headers=as_device(token))
    assert asked.status_code == 204
    assert (administrator.device()["last_upload_at"] is not None) == (method == "POST")


def test_blocked_device_may_not_pass(
    client: FlaskClient, token: str, administrator: Administrator
) -> None:
    client.get(VERIFY, headers=as_device(token))
    administrator.block()
    assert code(client.get(VERIFY, headers=as_device(token))) == "403 device_blocked"
    administrator.unblock()
    assert client.get(VERIFY, headers=as_device(token)).status_code == 204


def test_request_without_a_token_may_not_pass(client: FlaskClient) -> None:
    answer = client.get(VERIFY)
    assert code(answer) == "401 token_missing"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_revoked_token_may_not_pass(client: FlaskClient, db: Database, token: str) -> None:
    tokens.revoke(db, 1, actor="ann", now=NOON)
    assert code(client.get(VERIFY, headers=as_device(token))) == "401 token_invalid"


def test_identifier_that_can_t_be_one_may_not_pass(client: FlaskClient, token: str) -> None:
    assert code(client.get(VERIFY, headers=as_device(token, "a,b"))) == "400 device_id_invalid"


def test_problem_is_in_a_header_too(client: FlaskClient) -> None:
    answer = client.get(VERIFY)
    assert answer.headers["X-Problem"] == answer.text.strip()


def test_where_the_database_can_t_be_asked_nothing_passes(
    make_app: MakeApp, databases: Databases, tmp_path: Path
) -> None:
    client = make_app(**databases.unavailable(tmp_path / "away")).test_client()
    answer = client.get(VERIFY, headers=as_device("x"))
    assert (code(answer), answer.headers["Retry-After"]) == ("503 unavailable", "2")


PREFLIGHT = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize(("method", "_address"), ORIGINAL)
def test_preflight_may_pass_unrecorded(
    client: FlaskClient, administrator: Administrator, method: str, _address: str
) -> None:
    answer = client.get(VERIFY, headers={**PREFLIGHT, method: "OPTIONS"})
    assert answer.status_code == 204
    assert answer.headers["X-Device-Id"] == answer.headers["X-Token-Name"] == ""
    assert administrator.devices() == []


def test_envoy_s_preflight_may_pass(client: FlaskClient) -> None:
    assert client.options(f"{VERIFY}/orders", headers=PREFLIGHT).status_code == 204


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        pytest.param({"X-Original-Method": "GET"}, "401 token_missing", id="other method"),
        pytest.param({"Origin": None}, "401 token_missing", id="no origin"),
        pytest.param(
            {"Access-Control-Request-Method": None}, "401 token_missing", id="no method asked for"
        ),
        pytest.param({"Authorization": "Bearer x"}, "401 token_invalid", id="token"),
        pytest.param({"X-Device-ID": "phone-1"}, "401 token_missing", id="device"),
        pytest.param({"X-Device-ID": ""}, "401 token_missing", id="empty device"),
    ],
)
def test_what_no_browser_sends_is_no_preflight(
    client: FlaskClient, said: dict[str, str | None], problem: str
) -> None:
    headers = {"X-Original-Method": "OPTIONS", **PREFLIGHT, **said}
    asked = {name: value for name, value in headers.items() if value is not None}
    assert code(client.get(VERIFY, headers=asked)) == problem


# --- devices only ------------------------------------------------------------------------------


@pytest.fixture
def devices_only(make_app: MakeApp) -> Flask:
    """A gate in front of an API that finds out by itself who calls."""
    return make_app(APIDEVICES_GATE_TOKENS="false")


def test_without_tokens_a_device_is_enough(devices_only: Flask, db: Database) -> None:
    client = devices_only.test_client()
    answer = client.get(VERIFY, headers={"X-Device-ID": "phone-1"})
    assert (answer.status_code, answer.headers["X-Device-Name"]) == (204, "phone-1")
    assert answer.headers["X-Token-Name"] == ""
    devices.block(db, 1, actor="ann", now=NOON)
    assert code(client.get(VERIFY, headers={"X-Device-ID": "phone-1"})) == "403 device_blocked"


def test_without_tokens_a_request_without_a_device_passes(devices_only: Flask) -> None:
    assert devices_only.test_client().get(VERIFY).status_code == 204


def test_own_api_wants_tokens_whatever_the_gate_does(devices_only: Flask) -> None:
    answer = devices_only.test_client().get("/api/v1/device", headers={"X-Device-ID": "phone-1"})
    assert code(answer) == "401 token_missing"
