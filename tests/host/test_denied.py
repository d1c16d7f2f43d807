"""A blocked device is denied, whatever it asks."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from apidevices import APIDevices, ProblemDetails, clock, devices
from apidevices.tokens import issue
from tests.conftest import state_of
from tests.host.conftest import ORDERS, Close, block, make_app, phone


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
def test_blocked_device_is_denied(app: Flask, client: FlaskClient, method: str, path: str) -> None:
    client.get(f"{ORDERS}/", headers=phone())
    block(app)
    answer = client.open(path, method=method, headers=phone())
    assert (answer.status_code, answer.get_json()["code"]) == (403, "device_blocked")
    assert client.get(f"{ORDERS}/", headers=phone("phone-2")).status_code == 200


def test_unblocked_device_is_served_at_once(app: Flask, client: FlaskClient) -> None:
    client.get(f"{ORDERS}/", headers=phone())
    device_id = block(app)
    with app.app_context():
        devices.unblock(state_of(app).db, device_id, actor="ann", now=clock.now())
    assert client.get(f"{ORDERS}/", headers=phone()).status_code == 200


def test_hook_that_answers_by_itself_lets_no_blocked_device_in(url: str, closing: Close) -> None:
    extension = APIDevices(db=url)
    app = Flask(__name__)
    app.before_request(lambda: "out of a cache")
    extension.init_app(closing(app))
    extension.protect("/api")
    with app.app_context():
        extension.upgrade()
    client = app.test_client()
    assert client.get("/api/x", headers=phone()).text == "out of a cache"
    with app.app_context():
        devices.block(state_of(app).db, 1, actor="ann", now=clock.now())
    assert client.get("/api/x", headers=phone()).status_code == 403


# --- in the shape of the application ------------------------------------------------------------


def own_shape(problem: ProblemDetails) -> tuple[dict[str, Any], int] | None:
    """Answer as the application does, with 451 for a block; leave a bad identifier to us."""
    if problem.code == "device_id_invalid":
        return None
    return {"error": {"id": problem.code, "was": problem.status, "at": request.path}}, 451


@pytest.mark.parametrize("path", ["/api/ping", "/api/nothing"])
def test_application_answers_in_its_own_shape(url: str, closing: Close, path: str) -> None:
    app = make_app(APIDevices(db=url, on_denied=own_shape), closing)
    client = app.test_client()
    client.get("/api/ping", headers=phone())
    block(app)
    answer = client.get(path, headers=phone())
    assert answer.status_code == 451
    assert answer.json == {"error": {"id": "device_blocked", "was": 403, "at": path}}


def test_application_may_answer_by_a_coroutine(url: str, closing: Close) -> None:
    async def own_shape(problem: ProblemDetails) -> str:
        return problem.title

    app = make_app(APIDevices(db=url, on_denied=own_shape), closing)
    with ThreadPoolExecutor() as threads:  # a loop that a browser test leaves is in the way
        asked = threads.submit(app.test_client().get, "/api/ping", headers=phone("a,b"))
        assert asked.result().text == "Device identifier invalid"


def test_application_may_leave_the_answer_to_us(url: str, closing: Close) -> None:
    app = make_app(APIDevices(db=url, on_denied=own_shape), closing)
    answer = app.test_client().get("/api/ping", headers=phone("a,b"))
    assert (answer.status_code, answer.get_json()["code"]) == (400, "device_id_invalid")


def test_device_that_is_blocked_meanwhile_is_answered_in_that_shape(
    url: str, closing: Close
) -> None:
    extension = APIDevices(db=url, on_denied=own_shape)
    app = make_app(extension, closing)

    @app.get("/api/late")
    def late() -> str:
        with app.test_request_context("/api/ping", headers=phone()) as other:
            state_of(app).tracker.check_and_record(other.request)
        block(app)
        return str(extension.current_device())

    answer = app.test_client().get("/api/late", headers=phone())
    assert (answer.status_code, answer.get_json()["error"]["id"]) == (451, "device_blocked")


def test_details_bring_the_headers_that_belong_to_the_answer(url: str, closing: Close) -> None:
    extension = APIDevices(
        db=url, tokens=True, on_denied=lambda problem: ("", problem.status, problem.headers)
    )
    answer = make_app(extension, closing).test_client().get("/api/ping", headers=phone())
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_gate_answers_in_our_shape(url: str, closing: Close) -> None:
    extension = APIDevices(db=url, on_denied=own_shape)
    app = make_app(extension, closing)
    app.register_blueprint(extension.gate)
    answer = app.test_client().get("/verify", headers=phone())
    assert (answer.status_code, answer.get_json()["code"]) == (401, "token_missing")


@pytest.mark.parametrize("tokens", [False, True])
def test_only_who_checks_tokens_speaks_of_them(url: str, closing: Close, tokens: bool) -> None:
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
    for path, spoken_of in (("/api/ping", False), ("/verify", tokens)):
        answer = client.get(path, headers=headers).get_json()
        assert answer["code"] == "device_blocked"
        assert ("token" in answer["detail"]) is spoken_of
