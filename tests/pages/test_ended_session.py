"""HTMX requests of a page whose session has ended."""

from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from tests.conftest import Administrator, Register
from tests.pages.test_sign_in import LIST, assert_same_site, submit_login
from tests.pages.visitor import Page, Visitor

pytestmark = pytest.mark.database("sqlite")


@pytest.mark.parametrize("action", ["name", "block"])
def test_htmx_form_redirects_to_login_and_back_to_its_page(
    app: Flask,
    admin: Visitor,
    administrator: Administrator,
    register: Register,
    action: str,
) -> None:
    device = register("phone-1")
    page = admin.get(f"{LIST}?name=phone")
    before = administrator.device()
    token = page.form("/logout").one("input", name="csrf_token")["value"]
    response = Visitor(app.test_client()).post(
        f"{LIST}/{device}/{action}?from=list&name=phone",
        htmx=True,
        at=page.path,
        csrf_token=token,
        name="New",
    )
    assert_redirects_to_login(response, back_to=page.path)
    assert administrator.device() == before


def test_htmx_get_request_redirects_to_login(anonymous: Visitor) -> None:
    response = anonymous.get(f"{LIST}?name=x", htmx=True, HX_Current_URL=f"http://localhost{LIST}")
    assert_redirects_to_login(response, back_to=LIST)
    login = anonymous.get(response.headers["HX-Redirect"])
    assert login.announced == "Your session has ended. Sign in and try again."


def assert_redirects_to_login(response: Page, back_to: str) -> None:
    target = urlsplit(response.headers["HX-Redirect"])
    assert (target.netloc, target.path) == ("", "/login")
    assert parse_qs(target.query) == {"next": [back_to]}


def test_htmx_request_from_another_site_never_redirects_there(anonymous: Visitor) -> None:
    response = anonymous.get(LIST, htmx=True, HX_Current_URL="https://evil.example//evil.example/x")
    assert_redirects_to_login(response, back_to="//evil.example/x")
    assert_same_site(submit_login(anonymous, at=response.headers["HX-Redirect"]))


@pytest.mark.parametrize("header", ["HX_Current_URL", "Referer"])
def test_htmx_request_with_an_invalid_page_url_redirects_to_login(
    anonymous: Visitor, header: str
) -> None:
    response = anonymous.get(LIST, htmx=True, **{header: "http://["})
    assert response.status == 401
    assert urlsplit(response.headers["HX-Redirect"]).path == "/login"
