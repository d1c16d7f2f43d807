"""The admin pages in an application with its own authentication."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import werkzeug.utils
from flask import Flask, Response
from flask.testing import FlaskClient

from apidevices import APIDevices
from tests.host.conftest import ADMIN, ORDERS, Close, phone


def test_admin_pages_deny_access_without_authorize_callback(url: str, closing: Close) -> None:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "s" * 32
    extension = APIDevices(db=url)
    extension.init_app(closing(app))
    app.register_blueprint(extension.admin, url_prefix="/settings")
    assert app.test_client().get(ADMIN).status_code == 403


async def deny() -> bool:
    return False


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("authorize", "status"),
    [
        pytest.param(lambda: False, 403, id="False"),
        pytest.param(lambda: None, 403, id="None"),
        pytest.param(deny, 403, id="async"),
        pytest.param(lambda: Response(status=302), 302, id="Flask response"),
        pytest.param(lambda: werkzeug.utils.redirect("/login"), 302, id="Werkzeug response"),
        pytest.param(lambda: ("Sign in first.", 401), 401, id="tuple"),
        pytest.param(lambda: object(), 500, id="no response"),
        pytest.param(lambda: 403, 500, id="number"),
    ],
)
def test_admin_pages_deny_access_unless_authorize_returns_true(
    url: str, closing: Close, authorize: Any, status: int
) -> None:
    app = Flask(__name__)
    extension = APIDevices(db=url, authorize=authorize)
    extension.init_app(closing(app))
    app.register_blueprint(extension.admin, url_prefix="/settings")
    with ThreadPoolExecutor() as threads:  # async views need a thread without an event loop
        response = threads.submit(app.test_client().get, ADMIN)
        assert response.result().status_code == status


def test_forms_ask_the_host_for_no_language(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The translations that Flask-WTF has with Flask-Babel. This object has no method gettext.
    monkeypatch.setattr("flask_wtf.form.translations", object())
    client.get(f"{ORDERS}/", headers=phone())
    for path in ("name", "block", "tags", "note", "delete"):
        page = client.get(f"{ADMIN}/1/{path}", auth=("ann", ""))
        assert page.status_code == 200
        assert client.post(f"{ADMIN}/1/{path}", auth=("ann", "")).status_code < 500


def test_host_decides_on_hsts(client: FlaskClient) -> None:
    for path in (ADMIN, f"{ADMIN}/static/app.css"):
        headers = client.get(path, auth=("ann", ""), base_url="https://x", buffered=True).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Strict-Transport-Security" not in headers


def test_authorized_user_can_see_the_devices(client: FlaskClient) -> None:
    client.get(f"{ORDERS}/", headers=phone())
    assert "phone-1" in client.get(ADMIN, auth=("ann", "")).text
    assert client.get(ADMIN).status_code == 403


@pytest.mark.parametrize("path", ["", "/1"])
def test_admin_pages_do_not_mention_tokens_if_tokens_are_unused(
    client: FlaskClient, path: str
) -> None:
    client.get(f"{ORDERS}/", headers=phone())
    assert "token" not in client.get(f"{ADMIN}{path}", auth=("ann", "")).text.replace(
        "csrf_token", ""
    )


def test_empty_list_shows_the_device_headers(client: FlaskClient) -> None:
    page = client.get(ADMIN, auth=("ann", "")).text
    assert "X-Device-ID" in page
    assert "Bearer" not in page


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_token_page_gets_404_if_tokens_are_unused(client: FlaskClient, method: str) -> None:
    response = client.open("/settings/api-tokens", method=method, auth=("ann", ""))
    assert response.status_code == 404


@pytest.mark.parametrize("has_management_api", [True, False])
def test_token_page_is_linked_where_it_exists(
    url: str, closing: Close, has_management_api: bool
) -> None:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "s" * 32
    extension = APIDevices(db=url, authorize=lambda: True)
    extension.init_app(closing(app))
    app.register_blueprint(extension.admin, url_prefix="/settings")
    if has_management_api:
        app.register_blueprint(extension.api, url_prefix="/manage")
    with app.app_context():
        extension.upgrade()
    client = app.test_client()
    assert ("/settings/api-tokens" in client.get(ADMIN).text) == has_management_api
    assert (client.get("/settings/api-tokens").status_code == 200) == has_management_api
