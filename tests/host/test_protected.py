"""What is protected, and what is exempt."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask.views import MethodView

from apidevices import APIDevices
from tests.host.conftest import ADMIN, ORDERS, Close, block, make_app, phone


@pytest.mark.parametrize("path", [f"{ORDERS}/free", f"{ORDERS}/free-class", "/shop/about"])
def test_other_views_serve_a_blocked_device(app: Flask, client: FlaskClient, path: str) -> None:
    client.get(f"{ORDERS}/", headers=phone())
    block(app)
    assert client.get(path, headers=phone()).status_code == 200


def test_view_of_a_class_that_inherits_from_an_exempt_one_is_protected(
    url: str, closing: Close
) -> None:
    extension = APIDevices(db=url)
    app = Flask(__name__)
    extension.init_app(closing(app))
    extension.protect("/api")

    @extension.exempt
    class Free(MethodView):
        def get(self) -> dict[str, Any]:
            return {}

    class Dear(Free):
        pass

    app.add_url_rule("/api/free", view_func=Free.as_view("free"))
    app.add_url_rule("/api/dear", view_func=Dear.as_view("dear"))
    with app.app_context():
        extension.upgrade()
    client = app.test_client()
    client.get("/api/dear", headers=phone())
    block(app)
    assert client.get("/api/free", headers=phone()).status_code == 200
    assert client.get("/api/dear", headers=phone()).status_code == 403


@pytest.mark.parametrize(
    ("what", "error"), [(None, TypeError), (Flask, TypeError), ("/api/*", ValueError)]
)
def test_what_can_t_be_protected_is_refused(what: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        APIDevices(db="sqlite://").protect(what)


def test_what_is_protected_late_is_protected(url: str, closing: Close) -> None:
    extension = APIDevices(db=url)
    app = make_app(extension, closing)
    client = app.test_client()
    client.get("/api/ping", headers=phone())
    block(app)
    assert client.get("/apiary", headers=phone()).status_code == 200
    extension.protect("/apiary")
    assert client.get("/apiary", headers=phone()).status_code == 403


def test_prefix_is_of_whole_names(url: str, closing: Close) -> None:
    app = make_app(APIDevices(db=url), closing)
    client = app.test_client()
    client.get("/api/ping", headers=phone())
    block(app)
    answered = {path: client.get(path, headers=phone()).status_code for path in PATHS}
    assert answered == PATHS


PATHS = {"/api/ping": 403, "/api/nothing": 403, "/api": 403, "/apiary": 200, "/nothing": 404}


def test_admin_pages_are_not_of_an_api_that_is_everything(url: str, closing: Close) -> None:
    extension = APIDevices(db=url, authorize=lambda: True, tokens=True)
    app = make_app(extension, closing)
    app.secret_key = "s" * 32
    extension.protect("/")
    app.register_blueprint(extension.admin, url_prefix="/settings")
    client = app.test_client()
    assert client.get("/apiary").status_code == 401
    assert client.get(ADMIN).status_code == 200
