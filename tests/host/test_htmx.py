"""Redirects and error pages of a host must not end up inside the device list."""

from typing import Any

import pytest
from flask import Flask, abort, redirect
from flask.testing import FlaskClient

from apidevices import APIDevices
from tests.host.conftest import ADMIN, Close

HTMX = {"HX-Request": "true"}


@pytest.fixture
def visitor(url: str, closing: Close, request: pytest.FixtureRequest) -> FlaskClient:
    """A client of a host with its own error pages. The test's parameter is ``authorize``."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "s" * 32
    extension = APIDevices(db=url, authorize=request.param)
    extension.init_app(closing(app))
    app.register_blueprint(extension.admin, url_prefix="/settings")

    @app.errorhandler(403)
    @app.errorhandler(404)
    def error_page(error: Any) -> tuple[str, int]:
        return "<h1>Page of the host</h1>", error.code

    with app.app_context():
        extension.upgrade()
    return app.test_client()


def redirect_to_login() -> Any:
    return redirect("/login")


def abort_with_redirect() -> Any:
    abort(redirect("/login"))


@pytest.mark.parametrize("visitor", [redirect_to_login, abort_with_redirect], indirect=True)
def test_htmx_request_gets_401_and_a_redirect_to_the_login_page(visitor: FlaskClient) -> None:
    response = visitor.get(ADMIN, headers=HTMX)
    assert (response.status_code, response.headers["HX-Redirect"]) == (401, "/login")
    assert "Location" not in response.headers


@pytest.mark.parametrize("visitor", [lambda: False], indirect=True)
def test_htmx_request_gets_a_status_message_for_an_error_page(visitor: FlaskClient) -> None:
    response = visitor.get(ADMIN, headers=HTMX)
    assert (response.status_code, response.headers["HX-Reswap"]) == (403, "none")
    assert "The server responded with “403 FORBIDDEN”." in response.text
    assert "Page of the host" not in response.text


@pytest.mark.parametrize("visitor", [lambda: True], indirect=True)
def test_htmx_request_gets_a_status_message_for_an_unknown_device(visitor: FlaskClient) -> None:
    response = visitor.get(f"{ADMIN}/1", headers=HTMX)
    assert (response.status_code, response.headers["HX-Reswap"]) == (404, "none")
    assert "This device does not exist." in response.text


@pytest.mark.parametrize("visitor", [redirect_to_login], indirect=True)
def test_request_without_htmx_gets_the_redirect_of_the_host(visitor: FlaskClient) -> None:
    response = visitor.get(ADMIN)
    assert (response.status_code, response.location) == (302, "/login")


@pytest.mark.parametrize("visitor", [lambda: False], indirect=True)
def test_request_without_htmx_gets_the_error_page_of_the_host(visitor: FlaskClient) -> None:
    assert "Page of the host" in visitor.get(ADMIN).text


@pytest.mark.parametrize("visitor", [lambda: True], indirect=True)
def test_boosted_link_of_the_host_loads_the_page_with_its_style_sheets(
    visitor: FlaskClient,
) -> None:
    response = visitor.get(
        f"{ADMIN}?name=caf%C3%A9",
        headers={**HTMX, "HX-Boosted": "true"},
        environ_overrides={"SCRIPT_NAME": "/shop"},
    )
    assert response.status_code == 200
    assert response.headers["HX-Redirect"] == f"/shop{ADMIN}?name=caf%C3%A9"
    assert "HX-Redirect" not in visitor.get(ADMIN, headers=HTMX).headers
