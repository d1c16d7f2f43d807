"""Protected and exempt views and paths."""

from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from flask.views import MethodView

from apidevices import APIDevices
from tests.host.conftest import ADMIN, ORDERS, Close, block, make_app, phone


@pytest.mark.parametrize("path", [f"{ORDERS}/free", f"{ORDERS}/free-class", "/shop/about"])
def test_exempt_and_unprotected_views_serve_a_blocked_device(
    app: Flask, client: FlaskClient, path: str
) -> None:
    client.get(f"{ORDERS}/", headers=phone())
    block(app)
    assert client.get(path, headers=phone()).status_code == 200


def test_subclass_of_exempt_view_class_is_protected(url: str, closing: Close) -> None:
    extension = APIDevices(db=url)
    app = Flask(__name__)
    extension.init_app(closing(app))
    extension.protect("/api")

    @extension.exempt
    class Free(MethodView):
        def get(self) -> dict[str, Any]:
            return {}

    class Subclass(Free):
        pass

    app.add_url_rule("/api/free", view_func=Free.as_view("free"))
    app.add_url_rule("/api/subclass", view_func=Subclass.as_view("subclass"))
    with app.app_context():
        extension.upgrade()
    client = app.test_client()
    client.get("/api/subclass", headers=phone())
    block(app)
    assert client.get("/api/free", headers=phone()).status_code == 200
    assert client.get("/api/subclass", headers=phone()).status_code == 403


@pytest.mark.parametrize(
    ("target", "error"),
    [
        (None, TypeError),
        (Flask, TypeError),
        ("/api/*", ValueError),
        ("/my%20api", ValueError),
        ("/api//v1", ValueError),
        ("/api\n", ValueError),
    ],
)
def test_protect_rejects_invalid_targets(target: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        APIDevices(db="sqlite://").protect(target)


def test_protect_applies_after_the_first_request(url: str, closing: Close) -> None:
    extension = APIDevices(db=url)
    app = make_app(extension, closing)
    client = app.test_client()
    client.get("/api/ping", headers=phone())
    block(app)
    assert client.get("/apiary", headers=phone()).status_code == 200
    extension.protect("/apiary")
    assert client.get("/apiary", headers=phone()).status_code == 403


def test_protected_prefix_matches_whole_path_segments(url: str, closing: Close) -> None:
    app = make_app(APIDevices(db=url), closing)
    client = app.test_client()
    client.get("/api/ping", headers=phone())
    block(app)
    statuses = {path: client.get(path, headers=phone()).status_code for path in PATHS}
    assert statuses == PATHS


PATHS = {"/api/ping": 403, "/api/nothing": 403, "/api": 403, "/apiary": 200, "/nothing": 404}


def test_admin_pages_are_exempt_from_root_prefix(url: str, closing: Close) -> None:
    extension = APIDevices(db=url, authorize=lambda: True, tokens=True)
    app = make_app(extension, closing)
    app.secret_key = "s" * 32
    extension.protect("/")
    app.register_blueprint(extension.admin, url_prefix="/settings")
    client = app.test_client()
    assert client.get("/apiary").status_code == 401
    assert client.get(ADMIN).status_code == 200


def test_host_blueprint_with_the_name_of_ours_is_protected(url: str, closing: Close) -> None:
    app = Flask(__name__)
    extension = APIDevices(db=url)
    blueprint = Blueprint("apidevices_gate", __name__, url_prefix="/api")
    blueprint.add_url_rule("/ping", "ping", lambda: "")
    extension.protect(blueprint)
    extension.init_app(closing(app))
    app.register_blueprint(blueprint)
    with app.app_context():
        extension.upgrade()
    client = app.test_client()
    client.get("/api/ping", headers=phone())
    block(app)
    assert client.get("/api/ping", headers=phone()).status_code == 403
