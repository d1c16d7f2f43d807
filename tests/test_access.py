"""Which requests are allowed: checks of token, identifier and block, in this order."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import tokens
from apidevices.database import Database
from tests.conftest import (
    DEVICE,
    DEVICES,
    METHODS,
    NOON,
    UPLOADS,
    Administrator,
    FakeClock,
    MakeApp,
    NewToken,
    as_device,
    on_the_wire,
    state_of,
)

PATHS = [
    pytest.param(DEVICE, id="device"),
    pytest.param(UPLOADS, id="uploads"),
    pytest.param(DEVICES, id="management"),
    pytest.param("/api/v1/no/such/path", id="unknown path"),
    pytest.param("/api/", id="root"),
    pytest.param("/api", id="root without slash"),
]


def code(response: Any) -> str:
    """Return the status and error code of a response, such as "403 device_blocked"."""
    body = response.get_json(silent=True) or {}
    return f"{response.status_code} {body.get('code', '')}".strip()


# --- 1. the token ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({}, id="no header"),
        pytest.param({"Authorization": ""}, id="empty header"),
        pytest.param({"Authorization": "Bearer"}, id="only the scheme"),
        pytest.param({"Authorization": "Bearer "}, id="empty token"),
        pytest.param({"Authorization": "Basic YTpi"}, id="other scheme"),
    ],
)
def test_missing_token_gets_401_with_bare_challenge(
    client: FlaskClient, sent: dict[str, str]
) -> None:
    response = client.get(DEVICE, headers=sent)
    assert code(response) == "401 token_missing"
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "sent", ["x", "apd_" + "x" * 43, "\xff\xfe", "x" * 5_000, "a=b", "a,b", "'; DROP TABLE x"]
)
def test_unknown_token_gets_401(client: FlaskClient, token: str, sent: str) -> None:
    response = client.get(DEVICE, headers=as_device(sent))
    assert code(response) == "401 token_invalid"
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda token: token[:-1]])
def test_slightly_different_token_gets_401(client: FlaskClient, token: str, change: Any) -> None:
    assert code(client.get(DEVICE, headers=as_device(change(token)))) == "401 token_invalid"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_bearer_scheme_is_case_insensitive(client: FlaskClient, token: str, scheme: str) -> None:
    headers = {**as_device(token), "Authorization": f"{scheme} {token}"}
    assert client.get(DEVICE, headers=headers).status_code == 200


def test_revoked_token_gets_401_immediately(client: FlaskClient, db: Database, token: str) -> None:
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200
    tokens.revoke(db, tokens.find(db, token).id, actor="ann", now=NOON)
    assert code(client.get(DEVICE, headers=as_device(token))) == "401 token_invalid"


def test_expired_token_gets_401(
    client: FlaskClient, fake_clock: FakeClock, new_token: NewToken
) -> None:
    token = new_token(expires_at=NOON)
    fake_clock.set(NOON - timedelta(microseconds=1))
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200
    fake_clock.set(NOON)
    assert code(client.get(DEVICE, headers=as_device(token))) == "401 token_invalid"


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer x"}], ids=["missing", "unknown"])
def test_unauthenticated_request_registers_no_device(
    client: FlaskClient, administrator: Administrator, path: str, sent: dict[str, str]
) -> None:
    response = client.post(path, headers={"X-Device-ID": "phone-1", **sent}, json={})
    assert response.status_code == 401
    assert administrator.devices() == []


def test_token_is_checked_before_identifier(client: FlaskClient) -> None:
    assert code(client.get(DEVICE, headers=as_device("x", "a,b"))) == "401 token_invalid"


def test_token_is_checked_before_block(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    administrator.block()
    assert code(client.get(DEVICE, headers=as_device("x"))) == "401 token_invalid"
    assert administrator.device()["denied_count"] == 0


# --- 2. the identifier -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("", id="empty"),
        pytest.param("  ", id="blank"),
        pytest.param("a,b", id="comma"),
        pytest.param("x" * 256, id="too long"),
        pytest.param("a\x01b", id="control character"),
        pytest.param("\xff", id="not UTF-8"),
    ],
)
def test_invalid_identifier_gets_400_and_stores_nothing(
    client: FlaskClient, administrator: Administrator, token: str, sent: str
) -> None:
    response = client.post(UPLOADS, headers=as_device(token, sent, model="iPhone 14"), json={})
    assert code(response) == "400 device_id_invalid"
    assert administrator.devices() == []


@pytest.mark.parametrize("identifier", ["PHONE-1", "Ünï 设备", "%41", "x" * 255, "<b>&amp;</b>"])
def test_identifier_is_stored_unchanged(client: FlaskClient, token: str, identifier: str) -> None:
    response = client.get(DEVICE, headers=as_device(token, f" {on_the_wire(identifier)} "))
    assert response.json is not None
    assert response.json["identifier"] == identifier


def test_repeated_identifier_header_gets_400(client: FlaskClient, token: str) -> None:
    headers = [("Authorization", f"Bearer {token}"), ("X-Device-ID", "a"), ("X-Device-ID", "b")]
    assert code(client.get(DEVICE, headers=headers)) == "400 device_id_invalid"


def test_request_without_identifier_is_not_tracked(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    response = client.get("/api/v1/other", headers=as_device(token, None, model="iPhone 14"))
    assert code(response) == "404 not_found"
    assert administrator.devices() == []


def test_missing_required_identifier_gets_400(make_app: MakeApp) -> None:
    app = make_app(APIDEVICES_REQUIRE_DEVICE_ID="true")
    _, token = tokens.issue(state_of(app).db, "test", actor="ann", now=NOON)
    client = app.test_client()
    for path in (DEVICE, DEVICES, "/api/v1/other"):
        response = client.get(path, headers=as_device(token, None))
        assert code(response) == "400 device_id_required"
        assert "X-Device-ID" in response.text
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200
    assert code(client.get(DEVICE)) == "401 token_missing"


def test_token_that_requires_an_identifier_gets_400_without_one(
    app: Flask, client: FlaskClient, token: str
) -> None:
    db = state_of(app).db
    scopes = ["devices:read"]
    _, strict = tokens.issue(db, "x", scopes, requires_device_id=True, actor="ann", now=NOON)
    for path in (DEVICE, DEVICES, "/api/v1/other"):
        assert code(client.get(path, headers=as_device(strict, None))) == "400 device_id_required"
    assert client.get(DEVICES, headers=as_device(strict)).status_code == 200
    assert code(client.get("/api/v1/other", headers=as_device(token, None))) == "404 not_found"


# --- 3. the block ------------------------------------------------------------------------------


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_blocked_device_gets_403_on_every_path_and_method(
    client: FlaskClient, administrator: Administrator, new_token: NewToken, method: str, path: str
) -> None:
    token = new_token("devices:read", "devices:write")
    client.get(DEVICE, headers=as_device(token))
    administrator.block()
    response = client.open(path, method=method, headers=as_device(token))
    assert response.status_code == 403
    assert response.content_type == "application/problem+json"
    if method != "HEAD":
        assert code(response) == "403 device_blocked"


def test_denied_request_updates_only_denial_fields(
    client: FlaskClient, administrator: Administrator, fake_clock: FakeClock, token: str
) -> None:
    fake_clock.set(NOON)
    client.post(UPLOADS, headers=as_device(token, model="iPhone 14"), json={})
    administrator.block(reason="lost")
    before, history = administrator.device(), administrator.history()
    for seconds in (1, 2, 3):
        fake_clock.set(NOON + timedelta(seconds=seconds))
        response = client.post(UPLOADS, headers=as_device(token, model="iPhone 15"), json={})
        assert code(response) == "403 device_blocked"
    assert administrator.device() == {
        **before,
        "denied_count": 3,
        "last_denied_at": "2030-05-17T12:00:03.000000Z",
        "last_denied_address": "127.0.0.1",
    }
    [denied, *others] = administrator.history()
    assert (denied["kind"], denied["denied"]["count"], others) == ("denied", 3, history)


def test_other_device_can_use_the_token_of_a_blocked_device(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token, "phone-1"))
    administrator.block("phone-1")
    assert code(client.get(DEVICE, headers=as_device(token, "phone-1"))) == "403 device_blocked"
    assert client.get(DEVICE, headers=as_device(token, "phone-2")).status_code == 200


def test_blocked_device_is_denied_with_any_token(
    client: FlaskClient, administrator: Administrator, new_token: NewToken
) -> None:
    client.get(DEVICE, headers=as_device(new_token()))
    administrator.block()
    assert code(client.get(DEVICE, headers=as_device(new_token()))) == "403 device_blocked"


def test_unblocked_device_is_served_immediately(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    for _ in range(3):
        administrator.block()
        assert code(client.get(DEVICE, headers=as_device(token))) == "403 device_blocked"
        administrator.unblock()
        assert client.get(DEVICE, headers=as_device(token)).status_code == 200


def test_block_applies_immediately_in_other_application_instances(
    make_app: MakeApp, administrator: Administrator, token: str
) -> None:
    other = make_app().test_client()
    assert other.get(DEVICE, headers=as_device(token)).status_code == 200
    administrator.block()
    assert code(other.get(DEVICE, headers=as_device(token))) == "403 device_blocked"


def test_blocked_device_can_use_paths_outside_the_api(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    administrator.block()
    assert client.get("/livez", headers=as_device(token)).status_code == 200
