"""Sign-in and sign-out, and access control of the pages."""

import re
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit

import pytest
from flask import Flask

from tests.conftest import Administrator, Register
from tests.pages.conftest import ANN, COOKIE, PASSWORD, create_account
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"
WRONG = "not the password"


def submit_login(visitor: Visitor, at: str = "/login", **typed: str) -> Page:
    page = visitor.get(at)
    if page.status in (302, 303):
        page = visitor.get(page.location)
    fields: dict[str, Any] = {"email": ANN, "password": PASSWORD, **typed}
    return visitor.submit(page, "/login", **fields)


def is_signed_in(visitor: Visitor) -> bool:
    return visitor.get(LIST).status == 200


def with_cookie(app: Flask, value: str) -> Visitor:
    visitor = Visitor(app.test_client())
    visitor.client.set_cookie(COOKIE, value)
    return visitor


# --- sign-in -----------------------------------------------------------------------------------


def test_sign_in_redirects_to_the_list(anonymous: Visitor) -> None:
    response = submit_login(anonymous)
    assert response.location == LIST
    assert ANN in anonymous.get(response.location).text


def test_email_address_is_case_insensitive(anonymous: Visitor) -> None:
    submit_login(anonymous, email="ANN@Example.org")
    assert is_signed_in(anonymous)


def test_unknown_account_and_wrong_password_get_the_same_response(anonymous: Visitor) -> None:
    wrong = submit_login(anonymous, password=WRONG)
    unknown = submit_login(anonymous, email="nobody@example.org", password=WRONG)
    assert wrong.status == unknown.status
    assert wrong.text == unknown.text
    assert wrong.root.all("p", class_="error")
    assert not is_signed_in(anonymous)


def test_login_form_focuses_the_required_email(anonymous: Visitor) -> None:
    email = anonymous.get("/login").form("/login").one("input", name="email")
    assert {"autofocus", "required"} <= email.attributes.keys()


def test_failed_sign_in_describes_both_fields_with_the_error(anonymous: Visitor) -> None:
    page = submit_login(anonymous, password=WRONG)
    message = page.root.one(role="alert")
    assert message.text == "The email address or password is wrong."
    for name in ("email", "password"):
        assert page.root.one("input", name=name)["aria-describedby"] == message["id"]


def test_failed_sign_in_keeps_the_email_but_not_the_password(anonymous: Visitor) -> None:
    page = submit_login(anonymous, password=WRONG)
    assert page.form("/login").one("input", name="email")["value"] == ANN
    assert WRONG not in page.html


@pytest.mark.parametrize("missing", ["email", "password"])
def test_sign_in_with_an_empty_field_is_rejected(anonymous: Visitor, missing: str) -> None:
    assert submit_login(anonymous, **{missing: ""}).root.all("p", class_="error")
    assert not is_signed_in(anonymous)


def test_sign_in_without_csrf_token_is_rejected(anonymous: Visitor) -> None:
    anonymous.post("/login", email=ANN, password=PASSWORD)
    assert not is_signed_in(anonymous)


def test_login_page_redirects_signed_in_visitors_to_the_list(admin: Visitor) -> None:
    assert admin.get("/login").location == LIST


def test_session_cookie_is_httponly_and_samesite(anonymous: Visitor) -> None:
    sent = submit_login(anonymous).headers["Set-Cookie"]
    assert "HttpOnly" in sent
    assert "SameSite=Lax" in sent


# --- access control ----------------------------------------------------------------------------


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "path",
    [
        LIST,
        f"{LIST}?name=a%26b&status=blocked",
        f"{LIST}/1",
        f"{LIST}/1/history?before=9",
        "/settings/api-tokens",
        "/settings/account",
    ],
)
def test_page_redirects_to_login_and_opens_after_sign_in(
    anonymous: Visitor, register: Register, path: str
) -> None:
    register("phone-1")
    response = anonymous.get(path)
    assert response.status in (302, 303)
    assert urlsplit(response.location).path == "/login"
    assert parse_qs(urlsplit(response.location).query)["next"] == [path]
    login = anonymous.get(response.location)
    assert login.announced == "Sign in to see this page."
    assert ANN not in login.text
    after = anonymous.submit(login, "/login", email=ANN, password=PASSWORD)
    assert after.location == path
    assert anonymous.get(path).status == 200


def test_failed_sign_in_keeps_the_target_page(anonymous: Visitor) -> None:
    page = submit_login(anonymous, at="/login?next=/settings/api-tokens", password=WRONG)
    response = anonymous.submit(page, "/login", email=ANN, password=PASSWORD)
    assert response.location == "/settings/api-tokens"


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\\\evil.example/",
        "/%09/evil.example/",
        "/\t/evil.example/",
        "http:evil.example",
        "javascript:alert(1)",
        "https://localhost@evil.example/",
        "http://[",
    ],
)
def test_sign_in_never_redirects_to_another_site(anonymous: Visitor, target: str) -> None:
    assert_same_site(submit_login(anonymous, at=f"/login?{urlencode({'next': target})}"))


def assert_same_site(response: Page) -> None:
    assert response.status < 400
    target = urljoin("http://localhost/login", response.headers.get("Location", LIST))
    assert re.match(r"http://localhost/(?![/\\\s])", target)


@pytest.mark.parametrize("action", ["name", "block", "unblock"])
def test_device_changes_require_sign_in(
    anonymous: Visitor,
    administrator: Administrator,
    register: Register,
    action: str,
) -> None:
    device = register("phone-1")
    before = administrator.device()
    token = anonymous.get("/login").form("/login").one("input", name="csrf_token")["value"]
    response = anonymous.post(f"{LIST}/{device}/{action}", csrf_token=token, name="New")
    assert urlsplit(response.location).path == "/login"
    assert administrator.device() == before


def test_token_changes_require_sign_in(anonymous: Visitor, admin: Visitor, token: str) -> None:
    before = admin.get("/settings/api-tokens").text
    csrf_token = anonymous.get("/login").form("/login").one("input", name="csrf_token")["value"]
    for path in ("/settings/api-tokens", "/settings/api-tokens/1/revoke"):
        assert anonymous.post(path, csrf_token=csrf_token, name="New").status == 303
    assert admin.get("/settings/api-tokens").text == before


# --- sign-out ----------------------------------------------------------------------------------


def test_sign_out_redirects_to_the_login_page(admin: Visitor) -> None:
    response = admin.change(LIST, "/logout")
    assert response.location == "/login"
    assert not is_signed_in(admin)


def test_sign_out_ends_the_session_on_the_server(
    app: Flask, admin: Visitor, session_cookie: str
) -> None:
    admin.change(LIST, "/logout")
    assert not is_signed_in(with_cookie(app, session_cookie))


def test_sign_out_ends_sessions_in_other_browsers(admin: Visitor, anonymous: Visitor) -> None:
    submit_login(anonymous)
    admin.change(LIST, "/logout")
    assert not is_signed_in(anonymous)


def test_sign_out_keeps_sessions_of_other_accounts(
    app: Flask, admin: Visitor, anonymous: Visitor
) -> None:
    create_account(app, "bob@example.org")
    submit_login(anonymous, email="bob@example.org")
    admin.change(LIST, "/logout")
    assert is_signed_in(anonymous)


def test_get_request_does_not_sign_out(admin: Visitor) -> None:
    assert admin.get("/logout").status == 405
    assert is_signed_in(admin)


def test_sign_out_without_csrf_token_is_rejected(admin: Visitor) -> None:
    page = admin.post("/logout")
    assert page.status == 400
    assert page.root.one("h1").text == "Page expired"
    assert is_signed_in(admin)


# --- before the first account exists -----------------------------------------------------------


def test_login_page_mentions_the_setup_link_before_the_first_account(
    visitor_without_accounts: Visitor,
) -> None:
    assert "No account exists yet." in visitor_without_accounts.get("/login").text


def test_login_page_hides_the_setup_hint_once_an_account_exists(anonymous: Visitor) -> None:
    assert "No account exists yet." not in anonymous.get("/login").text


def test_expired_sign_in_page_keeps_the_page_to_return_to(anonymous: Visitor) -> None:
    page = f"/login?next={quote(LIST)}"
    response = anonymous.client.post(
        page, data={"csrf_token": "expired"}, headers={"Referer": f"http://localhost{page}"}
    )
    target = urlsplit(response.location)
    assert (target.path, parse_qs(target.query)) == ("/login", {"next": [LIST]})
