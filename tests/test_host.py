"""The extension beside an application's own login: what that lets in is recorded, no more."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, abort, request
from flask.testing import FlaskClient
from flask.views import MethodView
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine, inspect

from apidevices import APIDevices, ConfigError, clock, devices, listing
from apidevices.listing import Filters
from tests.conftest import state_of

KEY = {"X-API-Key": "sesame"}

ORDERS = "/shop/api/orders"


def phone(identifier: str = "phone-1", **headers: str) -> dict[str, str]:
    return {"X-Device-ID": identifier, **KEY, **headers}


Close = Callable[[Flask], Flask]


@pytest.fixture
def closing() -> Iterator[Close]:
    """Hands applications through, and closes what they hold in the end."""
    apps: list[Flask] = []

    def add(app: Flask) -> Flask:
        apps.append(app)
        return app

    yield add
    for app in apps:
        state_of(app).close()


@pytest.fixture
def app(url: str, closing: Close) -> Flask:
    """A shop, whose API wants a key that all of its devices share."""
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
        device = extension.current
        return {"device": device and [device.id, device.identifier, device.model]}

    @orders.get("/later")
    async def later_orders() -> dict[str, Any]:
        return {}

    @orders.get("/free")
    @extension.exempt
    def free() -> dict[str, Any]:
        return {"device": extension.current}

    @extension.exempt
    class Free(MethodView):
        def get(self) -> dict[str, Any]:
            return {"device": extension.current}

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
        return {"device": extension.current and extension.current.identifier}

    # A blueprint without a prefix, whose views ask by themselves who calls.
    stock = Blueprint("stock", __name__)
    extension.protect(stock)

    @stock.get("/shop/open/stock")
    @stock.get("/elsewhere/stock")
    def stock_of_it() -> dict[str, Any]:
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


def known(app: Flask) -> list[str]:
    return [device.identifier for device in listing.every(state_of(app).db, Filters())]


def block(app: Flask, identifier: str = "phone-1") -> int:
    db = state_of(app).db
    with app.app_context():
        device = devices.by_identifier(db, identifier)
        devices.block(db, device.id, actor="ann", now=clock.now())
    return device.id


# --- what is recorded --------------------------------------------------------------------------


def test_request_with_success_registers_its_device(app: Flask, client: FlaskClient) -> None:
    assert client.get(f"{ORDERS}/", headers=phone()).status_code == 200
    assert known(app) == ["phone-1"]


@pytest.mark.parametrize("path", [f"{ORDERS}/", f"{ORDERS}/mine", "/shop/api/nothing"])
def test_request_that_the_application_refuses_leaves_no_trace(
    app: Flask, client: FlaskClient, path: str
) -> None:
    assert client.get(path, headers={"X-Device-ID": "phone-1"}).status_code in (401, 404)
    assert known(app) == []


@pytest.mark.parametrize("status", [302, 400, 403, 404, 422, 500])
def test_request_without_success_leaves_no_trace(
    app: Flask, client: FlaskClient, status: int
) -> None:
    assert client.get(f"{ORDERS}/{status}", headers=phone()).status_code == status
    assert known(app) == []


def test_view_knows_a_device_with_its_first_request(client: FlaskClient) -> None:
    answer = client.get(f"{ORDERS}/mine", headers=phone(**{"X-Device-Model": "Pixel 9"}))
    assert answer.json == {"device": [1, "phone-1", "Pixel 9"]}


def test_view_knows_when_no_device_was_named(client: FlaskClient) -> None:
    assert client.get(f"{ORDERS}/mine", headers=KEY).json == {"device": None}


def test_changed_details_are_kept_without_a_token(app: Flask, client: FlaskClient) -> None:
    for model in ("Pixel 8", "Pixel 9"):
        client.get(f"{ORDERS}/", headers=phone(**{"X-Device-Model": model}))
    [changed, registered] = devices.history(state_of(app).db, 1)
    assert changed.changes == {"model": ["Pixel 8", "Pixel 9"]}
    assert changed.token is registered.token is None


def test_post_is_an_upload(app: Flask, client: FlaskClient) -> None:
    client.post(f"{ORDERS}/", headers=phone())
    state_of(app).activity.flush()
    activity = devices.get(state_of(app).db, 1).activity
    assert activity.last_upload_at == activity.last_active_at is not None


@pytest.mark.parametrize("path", ["later", "goods"])
def test_any_kind_of_view_is_protected(app: Flask, client: FlaskClient, path: str) -> None:
    # In a thread of its own: an async view can't run beside the loop that a browser test leaves.
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(client.get, f"{ORDERS}/{path}", headers=phone())
        assert asked.result().status_code == 200
    assert known(app) == ["phone-1"]


def test_identifier_that_can_t_be_one_is_refused(client: FlaskClient) -> None:
    answer = client.get(f"{ORDERS}/", headers=phone("a,b"))
    assert (answer.status_code, answer.get_json()["code"]) == (400, "device_id_invalid")


def test_options_that_flask_answers_leave_no_trace(app: Flask, client: FlaskClient) -> None:
    answer = client.options("/shop/open/stock", headers={"X-Device-ID": "phone-1"})
    assert answer.status_code == 200
    assert known(app) == []


def test_request_leaves_nothing_to_the_next_one(app: Flask, client: FlaskClient) -> None:
    with app.app_context():  # as a test suite may have it around everything
        client.get(f"{ORDERS}/401", headers=phone())
        assert client.get("/shop/who").json == {"device": None}
    assert known(app) == []


# --- what is denied ----------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("what", "error"), [(None, TypeError), (Flask, TypeError), ("/api/*", ValueError)]
)
def test_what_can_t_be_protected_is_refused(what: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        APIDevices(db="sqlite://").protect(what)


def test_it_is_too_late_to_protect_after_a_request(url: str, closing: Close) -> None:
    extension = APIDevices(db=url)
    make_app(extension, closing).test_client().get("/apiary")
    with pytest.raises(RuntimeError):
        extension.protect("/apiary")


# --- where it is put ---------------------------------------------------------------------------


def make_app(extension: APIDevices, closing: Close) -> Flask:
    """Make an application without Flask-SQLAlchemy, protected by a prefix."""
    app = Flask(__name__)
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


@pytest.mark.parametrize("make_db", [str, create_engine], ids=["url", "engine"])
def test_any_database_will_do(url: str, closing: Close, make_db: Callable[[str], Any]) -> None:
    app = make_app(APIDevices(db=make_db(url)), closing)
    assert app.test_client().get("/api/ping", headers=phone()).status_code == 200
    assert known(app) == ["phone-1"]


@pytest.mark.parametrize("given", ["mysql://db/shop", "no url at all"])
def test_other_database_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match=r"\Adb: "):
        APIDevices(db=given).init_app(Flask(__name__))


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


def test_applications_in_one_process_are_apart(tmp_path: Path, closing: Close) -> None:
    first, second = (
        make_app(APIDevices(db=f"sqlite:///{tmp_path}/{name}.sqlite3"), closing) for name in "ab"
    )
    first.test_client().get("/api/ping", headers=phone())
    assert (known(first), known(second)) == (["phone-1"], [])


def test_one_extension_serves_several_applications(url: str, closing: Close) -> None:
    extension = APIDevices(db=url)
    first, second = make_app(extension, closing), make_app(extension, closing)
    first.test_client().get("/api/ping", headers=phone())
    block(first)
    assert second.test_client().get("/api/ping", headers=phone()).status_code == 403


def test_tables_are_made_in_a_migration_of_the_application(url: str, closing: Close) -> None:
    app = Flask(__name__)
    extension = APIDevices(db=url)
    extension.init_app(closing(app))
    engine = create_engine(url)
    with app.app_context(), engine.begin() as connection:
        extension.upgrade(connection)
    assert "apidevices_devices" in inspect(engine).get_table_names()
    engine.dispose()


# --- its admin pages ---------------------------------------------------------------------------

ADMIN = "/settings/api-devices"


def test_nobody_is_let_in_unless_somebody_is_named(url: str, closing: Close) -> None:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "s" * 32
    extension = APIDevices(db=url)
    extension.init_app(closing(app))
    app.register_blueprint(extension.admin, url_prefix="/settings")
    assert app.test_client().get(ADMIN).status_code == 403


async def nobody() -> bool:
    return False


@pytest.mark.parametrize(
    ("authorize", "status"), [(nobody, 403), (lambda: Response(status=302), 302)]
)
def test_who_is_authorized_may_be_told_in_any_way(
    url: str, closing: Close, authorize: Any, status: int
) -> None:
    app = Flask(__name__)
    extension = APIDevices(db=url, authorize=authorize)
    extension.init_app(closing(app))
    app.register_blueprint(extension.admin, url_prefix="/settings")
    with ThreadPoolExecutor() as threads:  # see above
        asked = threads.submit(app.test_client().get, ADMIN)
        assert asked.result().status_code == status


def test_who_is_named_sees_the_devices(client: FlaskClient) -> None:
    client.get(f"{ORDERS}/", headers=phone())
    assert "phone-1" in client.get(ADMIN, auth=("ann", "")).text
    assert client.get(ADMIN).status_code == 403


@pytest.mark.parametrize("path", ["", "/1"])
def test_pages_don_t_speak_of_tokens_that_nobody_checks(client: FlaskClient, path: str) -> None:
    client.get(f"{ORDERS}/", headers=phone())
    assert "token" not in client.get(f"{ADMIN}{path}", auth=("ann", "")).text.replace(
        "csrf_token", ""
    )


def test_empty_list_names_the_headers(client: FlaskClient) -> None:
    page = client.get(ADMIN, auth=("ann", "")).text
    assert "X-Device-ID" in page
    assert "Bearer" not in page


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_there_is_no_page_for_tokens_that_nobody_checks(client: FlaskClient, method: str) -> None:
    answer = client.open("/settings/api-tokens", method=method, auth=("ann", ""))
    assert answer.status_code == 404
