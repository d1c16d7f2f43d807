"""A host application: a shop with its own authentication that uses the extension."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask, abort, request
from flask.testing import FlaskClient
from flask.views import MethodView
from flask_sqlalchemy import SQLAlchemy

from apidevices import APIDevices, clock, devices, listing
from apidevices.identity import DeviceIdentity
from apidevices.listing import Filters
from tests.conftest import state_of

KEY = {"X-API-Key": "sesame"}

ORDERS = "/shop/api/orders"

ADMIN = "/settings/api-devices"


def phone(identifier: str = "phone-1", **headers: str) -> dict[str, str]:
    return {"X-Device-ID": identifier, **KEY, **headers}


Close = Callable[[Flask], Flask]


@pytest.fixture
def closing() -> Iterator[Close]:
    """Returns its argument, an application, and closes it after the test."""
    apps: list[Flask] = []

    def add(app: Flask) -> Flask:
        apps.append(app)
        return app

    yield add
    for app in apps:
        state_of(app).close()


@pytest.fixture
def app(url: str, closing: Close) -> Flask:
    """A shop whose API authenticates devices with a shared key."""
    db = SQLAlchemy()
    extension = APIDevices(db=db, authorize=lambda: request.authorization is not None)
    app = Flask(__name__)
    app.config.update(SQLALCHEMY_DATABASE_URI=url, SECRET_KEY="s" * 32)
    db.init_app(app)
    extension.init_app(app)

    api = Blueprint("api", __name__)
    orders = Blueprint("orders", __name__)
    extension.protect(api)

    @api.before_request
    def check_key() -> None:
        if request.headers.get("X-API-Key") != "sesame":
            abort(401)

    @orders.route("/", methods=["GET", "POST"])
    def all_orders() -> dict[str, Any]:
        return {}

    @orders.get("/<int:status>")
    def one_order(status: int) -> tuple[dict[str, Any], int]:
        return {}, status

    @orders.get("/mine")
    def my_orders() -> dict[str, Any]:
        device = extension.current_device()
        return {"device": device and [device.id, device.identifier, device.model]}

    @orders.get("/later")
    async def later_orders() -> dict[str, Any]:
        return {}

    @orders.get("/free")
    @extension.exempt
    def free() -> dict[str, Any]:
        return {"device": extension.current_device()}

    @extension.exempt
    class Free(MethodView):
        def get(self) -> dict[str, Any]:
            return {"device": extension.current_device()}

    class Goods(MethodView):
        def get(self) -> dict[str, Any]:
            return {}

    orders.add_url_rule("/free-class", view_func=Free.as_view("free_class"))
    orders.add_url_rule("/goods", view_func=Goods.as_view("goods"))
    api.register_blueprint(orders, url_prefix="/orders")
    app.register_blueprint(api, url_prefix="/shop/api")
    app.register_blueprint(extension.admin, url_prefix="/settings")

    @app.get("/shop/who")
    def who() -> dict[str, Any]:
        device = extension.current_device()
        return {"device": device and device.identifier}

    # A blueprint without a prefix, whose views authenticate the caller themselves.
    stock = Blueprint("stock", __name__)
    extension.protect(stock)

    @stock.get("/shop/open/stock")
    @stock.get("/elsewhere/stock")
    def show_stock() -> dict[str, Any]:
        if request.headers.get("X-API-Key") != "sesame":
            abort(401)
        return {}

    app.register_blueprint(stock)

    @app.get("/shop/about")
    def about() -> dict[str, Any]:
        return {}

    with app.app_context():
        extension.upgrade()
    return closing(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def known_identifiers(app: Flask) -> list[str]:
    return [device.identifier for device in listing.iterate(state_of(app).db, Filters())]


def register_phone(app: Flask, identifier: str = "phone-1") -> None:
    identity = DeviceIdentity(identifier, {})
    devices.report(state_of(app).db, identity, token_id=None, address=None, now=clock.now())


def block(app: Flask, identifier: str = "phone-1") -> int:
    db = state_of(app).db
    with app.app_context():
        device = devices.by_identifier(db, identifier)
        devices.block(db, device.id, actor="ann", now=clock.now())
    return device.id


def make_app(extension: APIDevices, closing: Close, **config: object) -> Flask:
    """Create an application without Flask-SQLAlchemy that protects a path prefix."""
    app = Flask(__name__)
    app.config.update(config)
    extension.init_app(app)
    extension.protect("/api")

    @app.get("/api/ping")
    def ping() -> dict[str, Any]:
        return {}

    @app.get("/apiary")
    def apiary() -> dict[str, Any]:
        return {}

    with app.app_context():
        extension.upgrade()
    return closing(app)
