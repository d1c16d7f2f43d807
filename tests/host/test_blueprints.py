"""Protecting a blueprint covers its views and all paths below its URL prefix."""

import gc
import threading
import weakref
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from werkzeug.routing import BaseConverter

from apidevices import APIDevices, clock, devices
from tests.conftest import state_of
from tests.host.conftest import Close, phone, register_phone


def make_api(name: str = "api", **options: Any) -> Blueprint:
    """Create a blueprint with the view ``/ping``."""
    api = Blueprint(name, __name__, **options)
    api.add_url_rule("/ping", "ping", dict)
    return api


@pytest.fixture
def extension(url: str) -> APIDevices:
    return APIDevices(db=url)


@pytest.fixture
def app(extension: APIDevices, closing: Close) -> Flask:
    app = Flask(__name__)
    extension.init_app(app)
    with app.app_context():
        extension.upgrade()
    return closing(app)


def with_blocked_phone(app: Flask) -> FlaskClient:
    """Register and block the device phone-1, and return a client."""
    db = state_of(app).db
    with app.app_context():
        register_phone(app)
        devices.block(db, devices.by_identifier(db, "phone-1").id, actor="ann", now=clock.now())
    return app.test_client()


def statuses(client: FlaskClient, *paths: str, method: str = "GET") -> list[int]:
    return [client.open(path, method=method, headers=phone()).status_code for path in paths]


# --- URL prefixes ------------------------------------------------------------------------------


def test_prefix_of_registration_overrides_prefix_of_blueprint(
    app: Flask, extension: APIDevices
) -> None:
    api = make_api(url_prefix="/declared")
    extension.protect(api)
    app.register_blueprint(api, url_prefix="/v1/shop")
    client = with_blocked_phone(app)
    assert statuses(client, "/v1/shop/ping", "/v1/shop/nothing", "/v1/shop") == [403] * 3
    assert statuses(client, "/v1/nothing", "/v1/shopping", "/declared/nothing") == [404] * 3


def test_blueprint_without_prefix_protects_only_its_views(
    app: Flask, extension: APIDevices
) -> None:
    api = Blueprint("api", __name__)
    api.add_url_rule("/shop/orders", "orders", dict)
    api.add_url_rule("/shop/stock", "stock", dict)
    extension.protect(api)
    app.register_blueprint(api)
    client = with_blocked_phone(app)
    assert statuses(client, "/shop/orders", "/shop/nothing", "/nothing") == [403, 404, 404]
    assert statuses(client, "/shop/stock", method="DELETE") == [403]


def test_blueprint_registered_twice_is_protected_under_both_prefixes(
    app: Flask, extension: APIDevices
) -> None:
    api = make_api()
    extension.protect(api)
    app.register_blueprint(api, url_prefix="/v1")
    app.register_blueprint(api, url_prefix="/v2", name="api2")
    client = with_blocked_phone(app)
    assert statuses(client, "/v1/ping", "/v2/ping", "/v1/x", "/v2/x", "/v3/x") == [403] * 4 + [404]


def test_nested_blueprint_is_protected_with_its_parent(app: Flask, extension: APIDevices) -> None:
    parent, nested = Blueprint("parent", __name__), make_api("nested", url_prefix="/nested")
    extension.protect(parent)
    parent.register_blueprint(nested)
    app.register_blueprint(parent)  # only the nested blueprint has a prefix
    client = with_blocked_phone(app)
    assert statuses(client, "/nested/ping", "/nested/nothing", "/nothing") == [403, 403, 404]


def test_nested_blueprint_is_protected_without_its_parent(
    app: Flask, extension: APIDevices
) -> None:
    parent, nested = make_api("parent"), make_api("nested")
    extension.protect(nested)
    parent.register_blueprint(nested, url_prefix="/nested")
    app.register_blueprint(parent, url_prefix="/parent")
    client = with_blocked_phone(app)
    assert statuses(client, "/parent/nested/ping", "/parent/nested/nothing") == [403, 403]
    assert statuses(client, "/parent/ping", "/parent/nothing", "/nested/nothing") == [200, 404, 404]


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ann/api/ping", 403),
        ("/ann/api/nothing", 403),
        ("/ann/api/a//b", 403),
        ("/ann/api///x", 403),
        ("/ann/api/a%0Ab", 403),
        ("/ann/api/", 403),
        ("/ann/api", 403),
        ("/ann/apiary", 404),
        ("/ANN/api/nothing", 404),
        ("/ann/x/api/nothing", 404),
    ],
)
def test_variable_in_prefix_is_matched_by_its_converter(
    app: Flask, extension: APIDevices, path: str, status: int
) -> None:
    class Lower(BaseConverter):
        regex = "[a-z]+"

    api = Blueprint("api", __name__)
    api.add_url_rule("/ping", "ping", lambda tenant: {})
    extension.protect(api)
    app.url_map.converters["lower"] = Lower
    app.register_blueprint(api, url_prefix="/<lower:tenant>/api")
    assert statuses(with_blocked_phone(app), path) == [status]


def test_method_without_view_is_checked_if_a_protected_view_has_the_path(
    app: Flask, extension: APIDevices
) -> None:
    api = Blueprint("api", __name__)
    extension.protect(api)
    app.add_url_rule("/ping", "read", dict, methods=["GET"])
    api.add_url_rule("/ping", "write", dict, methods=["PUT"])
    app.register_blueprint(api)
    client = with_blocked_phone(app)
    assert statuses(client, "/ping") == [200]
    assert statuses(client, "/ping", method="DELETE") == [403]


def test_other_blueprint_with_the_same_name_is_not_protected(
    app: Flask, extension: APIDevices
) -> None:
    extension.protect(make_api(url_prefix="/api"))
    app.register_blueprint(make_api(url_prefix="/api"))
    assert statuses(with_blocked_phone(app), "/api/ping", "/api/nothing") == [200, 404]


# --- order of protect() and register_blueprint() -----------------------------------------------


def test_blueprint_can_be_protected_before_init_app(
    extension: APIDevices, url: str, app: Flask, closing: Close
) -> None:
    api, other = make_api(), Flask(__name__)
    extension.protect(api)
    other.register_blueprint(api, url_prefix="/api")
    extension.init_app(closing(other))
    assert statuses(with_blocked_phone(other), "/api/ping", "/api/nothing") == [403, 403]


def test_protect_rejects_a_registered_blueprint(app: Flask, extension: APIDevices) -> None:
    api = make_api(url_prefix="/api")
    app.register_blueprint(api)
    with pytest.raises(RuntimeError, match=r"protect\(\) before register_blueprint\(\)"):
        extension.protect("/other", api)
    assert statuses(with_blocked_phone(app), "/api/ping", "/other") == [200, 404]


def test_init_app_rejects_a_blueprint_registered_before_it_was_protected(
    extension: APIDevices,
) -> None:
    app, api = Flask(__name__), make_api(url_prefix="/api")
    app.register_blueprint(api)
    extension.protect(api)
    with pytest.raises(RuntimeError, match=r"protect\(\) before register_blueprint\(\)"):
        extension.init_app(app)


@pytest.mark.parametrize("fresh", [False, True], ids=["shared extension", "extension per app"])
def test_application_factory_can_protect_a_global_blueprint_repeatedly(
    url: str, closing: Close, fresh: bool
) -> None:
    api, shared = make_api(url_prefix="/api"), APIDevices(db=url)

    def create_app() -> Flask:
        app = Flask(__name__)
        extension = APIDevices(db=url) if fresh else shared
        extension.init_app(app)
        extension.protect(api)
        extension.protect(api, api)
        app.register_blueprint(api)
        with app.app_context():
            extension.upgrade()
        return closing(app)

    first, second = create_app(), create_app()
    with_blocked_phone(first)
    for app in (first, second):
        assert statuses(app.test_client(), "/api/ping", "/api/nothing") == [403, 403]
    assert len(api.deferred_functions) == 2  # its view and the extension's callback


def test_extension_does_not_prevent_garbage_collection_of_applications(url: str) -> None:
    api, db = make_api(url_prefix="/api"), SQLAlchemy()
    extension = APIDevices(db=db)
    extension.protect(api)

    def use_an_app() -> "weakref.ref[Flask]":
        app = Flask(__name__)
        app.config["SQLALCHEMY_DATABASE_URI"] = url
        db.init_app(app)
        extension.init_app(app)
        app.register_blueprint(api)
        with app.app_context():
            extension.upgrade()
        assert app.test_client().get("/api/ping", headers=phone()).status_code == 200
        state = state_of(app)
        state.activity.flush(counts=True)  # so that the thread has nothing left to write
        for tracker in (state.tracker, state.gate_tracker, state.api_tracker):
            tracker.close()
        state.db.engine.dispose()
        return weakref.ref(app)

    other_threads = set(threading.enumerate())
    reference = use_an_app()
    gc.collect()
    assert reference() is None
    for thread in set(threading.enumerate()) - other_threads:
        if thread.name == "apidevices-activity":
            thread.join(10)
            assert not thread.is_alive()
