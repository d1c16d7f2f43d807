"""A host application that requires API Devices tokens."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import inspect

from apidevices import APIDevices, ConfigError, clock, migration, tokens
from tests.conftest import as_device, state_of
from tests.host.conftest import Close

Host = tuple[Flask, APIDevices]


@pytest.fixture(params=["file", "memory"])
def host(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Host]:
    """An application with a protected shop API and a table of its own."""
    db = SQLAlchemy()

    class Order(db.Model):  # type: ignore[name-defined, misc]  # a class made at runtime
        id = db.Column(db.Integer, primary_key=True)

    app = Flask(__name__)
    path = {"file": f"/{tmp_path}/shop.sqlite3", "memory": ""}[request.param]
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite://{path}"
    db.init_app(app)
    shop = Blueprint("shop", __name__, url_prefix="/shop")
    extension = APIDevices(db=db, tokens=True)
    extension.protect(shop)
    extension.init_app(app)

    @shop.get("/orders")
    def orders() -> dict[str, object]:
        caller = extension.current_caller()
        assert caller is not None
        return {"token": caller.token_name, "device": caller.device_id, "at": str(caller.at)}

    @app.get("/shopping")
    def shopping() -> dict[str, object]:
        return {"caller": extension.current_caller()}

    app.register_blueprint(shop)
    with app.app_context():
        db.create_all()
        migration.upgrade()
    yield app, extension
    state_of(app).close()


@pytest.fixture
def client(host: Host) -> FlaskClient:
    return host[0].test_client()


@pytest.fixture
def token(host: Host) -> str:
    db = state_of(host[0]).db
    return tokens.issue(db, "shop", actor="the test", now=clock.now())[1]


def test_view_gets_current_caller(client: FlaskClient, token: str) -> None:
    response = client.get("/shop/orders", headers=as_device(token)).get_json()
    assert (response["token"], response["device"]) == ("shop", 1)
    assert response["at"].endswith("+00:00")


def test_current_caller_without_device_has_its_token(client: FlaskClient, token: str) -> None:
    response = client.get("/shop/orders", headers=as_device(token, None)).get_json()
    assert (response["token"], response["device"]) == ("shop", None)


@pytest.mark.parametrize("path", ["/shop/orders", "/shop/nothing", "/shop", "/shop/"])
def test_all_paths_below_the_prefix_need_a_token(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 401
    assert response.content_type == "application/problem+json"


def test_paths_outside_the_prefix_need_no_token(client: FlaskClient) -> None:
    assert client.get("/shopping").json == {"caller": None}
    assert client.get("/nothing").status_code == 404


def test_tables_of_the_host_are_kept(host: Host) -> None:
    app, _ = host
    with app.app_context():
        names = inspect(app.extensions["sqlalchemy"].engine).get_table_names()
    assert {name for name in names if not name.startswith("apidevices_")} == {"order"}


def test_upgrade_command_succeeds(host: Host) -> None:
    upgraded = host[0].test_cli_runner().invoke(args=["apidevices", "upgrade"])
    assert upgraded.exit_code == 0


def test_second_init_app_is_rejected(host: Host) -> None:
    app, extension = host
    with pytest.raises(RuntimeError, match="already"):
        extension.init_app(app)


def test_error_names_the_invalid_setting() -> None:
    db = SQLAlchemy()
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    app.config["APIDEVICES_REQUIRE_DEVICE_ID"] = "perhaps"
    db.init_app(app)
    with pytest.raises(ConfigError, match=r"\AAPIDEVICES_REQUIRE_DEVICE_ID: "):
        APIDevices(db=db).init_app(app)


def test_token_commands_say_why_they_are_not_available(url: str, closing: Close) -> None:
    app = Flask(__name__)
    APIDevices(db=url).init_app(closing(app))
    result = app.test_cli_runner().invoke(args=["apidevices", "create-token", "x"])
    assert result.exit_code == 2
    assert "this application uses no API Devices tokens" in result.stderr
