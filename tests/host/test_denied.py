"""Requests that a host application denies, with the default or its own error format."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from apidevices import APIDevices, ProblemDetails, clock, devices
from apidevices.tokens import issue
from tests.conftest import state_of
from tests.host.conftest import ORDERS, Close, block, make_app, phone, register_phone


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{ORDERS}/"),
        ("POST", f"{ORDERS}/"),
        ("DELETE", f"{ORDERS}/"),
        ("GET", f"{ORDERS}/later"),
        ("GET", f"{ORDERS}/goods"),
        ("GET", f"{ORDERS}/nothing"),
        ("DELETE", "/elsewhere/stock"),
    ],
)
def test_blocked_device_gets_403_on_every_protected_path(
    app: Flask, client: FlaskClient, method: str, path: str
) -> None:
    client.get(f"{ORDERS}/", headers=phone())
    block(app)
    response = client.open(path, method=method, headers=phone())
    assert (response.status_code, response.get_json()["code"]) == (403, "device_blocked")
    assert client.get(f"{ORDERS}/", headers=phone("phone-2")).status_code == 200


def test_unblocked_device_is_served_immediately(app: Flask, client: FlaskClient) -> None:
    client.get(f"{ORDERS}/", headers=phone())
    device_id = block(app)
    with app.app_context():
        devices.unblock(state_of(app).db, device_id, actor="ann", now=clock.now())
    assert client.get(f"{ORDERS}/", headers=phone()).status_code == 200


def test_host_hook_that_returns_a_response_does_not_bypass_a_block(
    url: str, closing: Close
) -> None:
    extension = APIDevices(db=url)
    app = Flask(__name__)
    app.before_request(lambda: "from cache")
    extension.init_app(closing(app))
    extension.protect("/api")
    with app.app_context():
        extension.upgrade()
    client = app.test_client()
    assert client.get("/api/x", headers=phone()).text == "from cache"
    with app.app_context():
        devices.block(state_of(app).db, 1, actor="ann", now=clock.now())
    assert client.get("/api/x", headers=phone()).status_code == 403


# --- on_denied ---------------------------------------------------------------------------------


def host_format(problem: ProblemDetails) -> tuple[dict[str, Any], int] | None:
    """Return 451 in the host's format, or None for the default if the identifier is invalid."""
    if problem.code == "device_id_invalid":
        return None
    return {"error": {"id": problem.code, "was": problem.status, "at": request.path}}, 451


@pytest.mark.parametrize("path", ["/api/ping", "/api/nothing"])
def test_on_denied_replaces_the_response(url: str, closing: Close, path: str) -> None:
    app = make_app(APIDevices(db=url, on_denied=host_format), closing)
    client = app.test_client()
    client.get("/api/ping", headers=phone())
    block(app)
    response = client.get(path, headers=phone())
    assert response.status_code == 451
    assert response.json == {"error": {"id": "device_blocked", "was": 403, "at": path}}


def test_on_denied_can_be_async(url: str, closing: Close) -> None:
    async def host_format(problem: ProblemDetails) -> str:
        return problem.title

    app = make_app(APIDevices(db=url, on_denied=host_format), closing)
    with ThreadPoolExecutor() as threads:  # async views need a thread without an event loop
        response = threads.submit(app.test_client().get, "/api/ping", headers=phone("a,b"))
        assert response.result().text == "Device identifier invalid"


def test_on_denied_without_a_status_keeps_the_status(url: str, closing: Close) -> None:
    app = make_app(APIDevices(db=url, on_denied=lambda problem: {"error": problem.code}), closing)
    response = app.test_client().get("/api/ping", headers=phone("a,b"))
    assert (response.status_code, response.json) == (400, {"error": "device_id_invalid"})


def test_on_denied_returning_none_keeps_the_default_response(url: str, closing: Close) -> None:
    app = make_app(APIDevices(db=url, on_denied=host_format), closing)
    response = app.test_client().get("/api/ping", headers=phone("a,b"))
    assert (response.status_code, response.get_json()["code"]) == (400, "device_id_invalid")


def add_view_that_blocks_its_device(app: Flask, extension: APIDevices) -> None:
    @app.get("/api/late")
    def late() -> str:
        register_phone(app)
        block(app)
        return str(extension.current_device())


def test_on_denied_applies_to_device_blocked_during_the_request(url: str, closing: Close) -> None:
    extension = APIDevices(db=url, on_denied=host_format)
    app = make_app(extension, closing)
    add_view_that_blocks_its_device(app, extension)
    response = app.test_client().get("/api/late", headers=phone())
    assert (response.status_code, response.get_json()["error"]["id"]) == (451, "device_blocked")


def test_denial_that_responds_with_success_counts_once(url: str, closing: Close) -> None:
    extension = APIDevices(db=url, on_denied=lambda problem: ({}, 200))
    app = make_app(extension, closing)
    add_view_that_blocks_its_device(app, extension)
    assert app.test_client().get("/api/late", headers=phone()).status_code == 200
    state_of(app).activity.flush()
    device = devices.by_identifier(state_of(app).db, "phone-1")
    assert device.activity.denied_count == 1


def test_problem_details_include_response_headers(url: str, closing: Close) -> None:
    extension = APIDevices(
        db=url, tokens=True, on_denied=lambda problem: ("", problem.status, problem.headers)
    )
    response = make_app(extension, closing).test_client().get("/api/ping", headers=phone())
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_gate_does_not_call_on_denied(url: str, closing: Close) -> None:
    extension = APIDevices(db=url, on_denied=host_format)
    app = make_app(extension, closing)
    app.register_blueprint(extension.gate)
    response = app.test_client().get("/verify", headers=phone())
    assert (response.status_code, response.get_json()["code"]) == (401, "token_missing")


@pytest.mark.parametrize("tokens", [False, True])
def test_block_message_mentions_tokens_only_if_tokens_are_checked(
    url: str, closing: Close, tokens: bool
) -> None:
    extension = APIDevices(db=url)
    app = Flask(__name__)
    app.config["APIDEVICES_GATE_TOKENS"] = tokens
    extension.init_app(closing(app))
    extension.protect("/api")
    app.register_blueprint(extension.gate)
    app.add_url_rule("/api/ping", "ping", dict)
    with app.app_context():
        extension.upgrade()
        _, token = issue(state_of(app).db, "shop", actor="ann", now=clock.now())
    client = app.test_client()
    client.get("/api/ping", headers=phone())
    block(app)
    headers = phone(Authorization=f"Bearer {token}")
    for path, mentions_tokens in (("/api/ping", False), ("/verify", tokens)):
        response = client.get(path, headers=headers).get_json()
        assert response["code"] == "device_blocked"
        assert ("token" in response["detail"]) is mentions_tokens
