"""API Devices in applications built with APIFlask, Flask-RESTful and Flask-Smorest."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask, abort, request
from flask.testing import FlaskClient
from flask.views import MethodView

from apidevices import APIDevices
from tests.host.conftest import Close, block, known_identifiers

# Not installed when the oldest supported versions are tested.
apiflask = pytest.importorskip("apiflask")
flask_restful = pytest.importorskip("flask_restful")
flask_smorest = pytest.importorskip("flask_smorest")

pytestmark = pytest.mark.database("sqlite")

KEY = {"Authorization": "Bearer sesame"}

DOCUMENTED = ["apiflask", "smorest"]


def apiflask_host(devices: APIDevices) -> Flask:
    """Return an APIFlask application that authenticates with APIFlask's token check."""
    app = apiflask.APIFlask(__name__)
    api = apiflask.APIBlueprint("api", __name__, url_prefix="/api")
    auth = apiflask.HTTPTokenAuth()
    auth.verify_token(lambda token: token == "sesame")

    class Order(apiflask.Schema):
        amount = apiflask.fields.Integer(required=True)

    @api.get("/orders")
    @app.auth_required(auth)
    @app.output(Order)
    def get_orders() -> dict[str, Any]:
        return {"amount": 1}

    @api.post("/orders")
    @app.auth_required(auth)
    @app.input(Order)
    def post_order(json_data: dict[str, Any]) -> dict[str, Any]:
        return json_data

    class Stock(MethodView):
        @app.auth_required(auth)
        def get(self) -> dict[str, Any]:
            return {}

    api.add_url_rule("/stock", view_func=Stock.as_view("stock"))
    devices.protect(api)
    app.register_blueprint(api)
    return app


def restful_host(devices: APIDevices) -> Flask:
    """Return an application with a blueprint of Flask-RESTful resources."""
    app = Flask(__name__)
    api = Blueprint("api", __name__, url_prefix="/api")
    add_resources(flask_restful.Api(api))
    devices.protect(api)
    app.register_blueprint(api)
    return app


def restful_app_host(devices: APIDevices) -> Flask:
    """Return an application whose errors are all handled by Flask-RESTful."""
    app = Flask(__name__)
    add_resources(flask_restful.Api(app, prefix="/api", catch_all_404s=True))
    devices.protect("/api")
    return app


def add_resources(restful: Any) -> None:
    class Orders(flask_restful.Resource):
        def get(self) -> dict[str, Any]:
            check_key()
            return {"amount": 1}

        def post(self) -> dict[str, Any]:
            check_key()
            return {"amount": int(request.get_json()["amount"])}

    class Stock(flask_restful.Resource):
        def get(self) -> dict[str, Any]:
            check_key()
            return {}

    restful.add_resource(Orders, "/orders")
    restful.add_resource(Stock, "/stock")


def smorest_host(devices: APIDevices) -> Flask:
    """Return an application with a blueprint of Flask-Smorest."""
    app = Flask(__name__)
    app.config.update(API_TITLE="Shop", API_VERSION="v1", OPENAPI_VERSION="3.1.0")
    app.config.update(OPENAPI_URL_PREFIX="/", OPENAPI_JSON_PATH="openapi.json")
    app.config.update(OPENAPI_SWAGGER_UI_PATH="/docs", OPENAPI_SWAGGER_UI_URL="/static/")
    smorest = flask_smorest.Api(app)
    api = flask_smorest.Blueprint("api", __name__, url_prefix="/api")

    class Order(apiflask.Schema):
        amount = apiflask.fields.Integer(required=True)

    @api.route("/orders")
    class Orders(MethodView):
        @api.response(200, Order)
        def get(self) -> dict[str, Any]:
            check_key()
            return {"amount": 1}

        @api.arguments(Order)
        @api.response(200, Order)
        def post(self, order: dict[str, Any]) -> dict[str, Any]:
            check_key()
            return order

    @api.route("/stock")
    def get_stock() -> dict[str, Any]:
        check_key()
        return {}

    devices.protect(api)
    smorest.register_blueprint(api)
    return app


def check_key() -> None:
    if request.headers.get("Authorization") != "Bearer sesame":
        abort(401)


HOSTS: dict[str, Callable[[APIDevices], Flask]] = {
    "apiflask": apiflask_host,
    "restful": restful_host,
    "restful-app": restful_app_host,
    "smorest": smorest_host,
}


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    """The framework of the application: a key of HOSTS."""
    return str(request.param)


@pytest.fixture
def app(host: str, url: str, closing: Close) -> Flask:
    """An application with all blueprints of API Devices."""
    devices = APIDevices(db=url, authorize=lambda: True)
    app = HOSTS[host](devices)
    app.config["SECRET_KEY"] = "host secret"
    devices.init_app(app)
    app.register_blueprint(devices.admin, url_prefix="/settings")
    app.register_blueprint(devices.api, url_prefix="/manage")
    app.register_blueprint(devices.gate)
    with app.app_context():
        devices.upgrade()
    return closing(app)


every_host = pytest.mark.parametrize("host", HOSTS, indirect=True)
documented_host = pytest.mark.parametrize("host", DOCUMENTED, indirect=True)


def call(
    client: FlaskClient, path: str, method: str = "GET", device: str = "phone-1", **options: Any
) -> Any:
    return client.open(path, method=method, headers={"X-Device-ID": device} | KEY, **options)


@every_host
def test_authenticated_devices_are_recorded(app: Flask, client: FlaskClient) -> None:
    for device, path in (("phone-1", "/api/orders"), ("phone-2", "/api/stock")):
        assert call(client, path, device=device).status_code == 200
    posted = call(client, "/api/orders", "POST", "phone-3", json={"amount": 2})
    assert (posted.status_code, posted.json) == (200, {"amount": 2})
    assert sorted(known_identifiers(app)) == ["phone-1", "phone-2", "phone-3"]


@every_host
def test_rejected_requests_are_not_recorded(app: Flask, client: FlaskClient) -> None:
    response = client.get("/api/orders", headers={"X-Device-ID": "phone-1"})
    assert response.status_code == 401
    assert call(client, "/api/nothing").status_code == 404
    assert known_identifiers(app) == []


REQUESTS = [
    ("GET", "/api/orders"),
    ("POST", "/api/orders"),
    ("DELETE", "/api/orders"),
    ("GET", "/api/stock"),
    ("PUT", "/api/stock"),
    ("GET", "/api/nothing"),
    ("GET", "/api"),
]


@every_host
def test_blocked_device_gets_403_on_every_path_and_method(app: Flask, client: FlaskClient) -> None:
    call(client, "/api/orders")
    block(app)
    for method, path in REQUESTS:
        response = call(client, path, method)
        assert (response.status_code, response.mimetype) == (403, "application/problem+json"), path
        assert response.json["code"] == "device_blocked"
    assert call(client, "/api/orders", device="phone-2").status_code == 200


@every_host
def test_error_handlers_of_the_framework_keep_working(host: str, client: FlaskClient) -> None:
    unauthorized = client.get("/api/orders")
    assert unauthorized.status_code == 401
    assert unauthorized.json["status" if host == "smorest" else "message"]
    not_allowed = call(client, "/api/orders", "DELETE")
    assert not_allowed.status_code == 405
    assert not_allowed.mimetype == "application/json"


@documented_host
def test_validation_of_the_framework_keeps_working(client: FlaskClient) -> None:
    invalid = call(client, "/api/orders", "POST", json={"amount": "many"})
    assert (invalid.status_code, "amount" in invalid.text) == (422, True)


@documented_host
def test_openapi_pages_of_the_framework_keep_working(client: FlaskClient) -> None:
    described = client.get("/openapi.json")
    assert described.status_code == 200
    assert set(described.json["paths"]) == {"/api/orders", "/api/stock"}
    assert client.get("/docs").status_code == 200


@every_host
def test_admin_pages_and_management_api_work(app: Flask, client: FlaskClient) -> None:
    call(client, "/api/orders")
    assert "phone-1" in client.get("/settings/api-devices").text
    assert client.get("/settings/api-devices/99").status_code == 404
    denied = client.get("/manage/v1/devices")
    assert (denied.status_code, denied.json["code"]) == (401, "token_missing")
    assert denied.mimetype == "application/problem+json"
