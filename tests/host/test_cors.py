"""CORS: preflight requests reach the host, and errors carry the host's CORS headers."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient

from apidevices import APIDevices
from tests.host.conftest import Close, block, known_identifiers, phone

flask_cors = pytest.importorskip("flask_cors")

ORIGIN = "https://shop.example"

PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, x-device-id",
}


def on_application(app: Flask, _api: Blueprint) -> None:
    flask_cors.CORS(app, origins=[ORIGIN])


def on_blueprint(_app: Flask, api: Blueprint) -> None:
    flask_cors.CORS(api, origins=[ORIGIN])


@pytest.fixture(params=[on_application, on_blueprint])
def set_cors(request: pytest.FixtureRequest) -> Callable[[Flask, Blueprint], None]:
    chosen: Callable[[Flask, Blueprint], None] = request.param
    return chosen


@pytest.fixture(params=[True, False], ids=["tokens", "no tokens"])
def app(
    request: pytest.FixtureRequest,
    url: str,
    closing: Close,
    set_cors: Callable[[Flask, Blueprint], None],
) -> Flask:
    """A host with CORS that requires a device identifier."""
    app = Flask(__name__)
    app.config["APIDEVICES_REQUIRE_DEVICE_ID"] = True
    api = Blueprint("api", __name__, url_prefix="/api")
    extension = APIDevices(db=url, tokens=request.param)
    extension.protect(api)
    extension.init_app(closing(app))

    @api.route("/orders", methods=["GET", "POST"])
    def orders() -> dict[str, Any]:
        return {}

    set_cors(app, api)
    app.register_blueprint(api)
    with app.app_context():
        extension.upgrade()
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_preflight_request_reaches_the_host(app: Flask, client: FlaskClient) -> None:
    response = client.options("/api/orders", headers=PREFLIGHT)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Allow-Headers"] == "authorization, x-device-id"
    assert known_identifiers(app) == []


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("missing", ["Origin", "Access-Control-Request-Method"])
def test_options_requests_other_than_preflights_are_checked(
    client: FlaskClient, missing: str
) -> None:
    headers = {name: value for name, value in PREFLIGHT.items() if name != missing}
    assert client.options("/api/orders", headers=headers).status_code in (400, 401)


def test_errors_carry_the_cors_headers_of_the_host(client: FlaskClient) -> None:
    response = client.get("/api/orders", headers={"Origin": ORIGIN})
    assert response.content_type == "application/problem+json"
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize("app", [False], indirect=True, ids=["no tokens"])
def test_preflight_headers_do_not_bypass_a_block(app: Flask, client: FlaskClient) -> None:
    client.get("/api/orders", headers=phone())
    block(app)
    for method in ("GET", "POST", "OPTIONS"):
        response = client.open("/api/orders", method=method, headers=PREFLIGHT | phone())
        assert response.status_code == 403


def test_preflight_request_reaches_the_management_api(url: str, closing: Close) -> None:
    app = Flask(__name__)
    extension = APIDevices(db=url)
    extension.init_app(closing(app))
    app.register_blueprint(extension.api, url_prefix="/manage")
    flask_cors.CORS(app, origins=[ORIGIN])
    client = app.test_client()
    for path in ("/manage/v1/devices", "/manage/v1/devices/1/block"):
        response = client.options(path, headers=PREFLIGHT)
        assert response.status_code == 200
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert client.get("/manage/v1/devices", headers=PREFLIGHT).status_code == 401
