"""Signing in and out, and that nothing is shown to who hasn't."""

import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest
from flask import Flask

from tests.conftest import Administrator, Register
from tests.pages.conftest import ANN, COOKIE, PASSWORD, create_account
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"
WRONG = "not the password"


def attempt(visitor: Visitor, at: str = "/login", **typed: str) -> Page:
    page = visitor.get(at)
    if page.status in (302, 303):
        page = visitor.get(page.location)
    whole: dict[str, Any] = {"email": ANN, "password": PASSWORD, **typed}
    return visitor.submit(page, "/login", **whole)


def is_signed_in(visitor: Visitor) -> bool:
    return visitor.get(LIST).status == 200


def with_cookie(app: Flask, value: str) -> Visitor:
    visitor = Visitor(app.test_client())
    visitor.client.set_cookie(COOKIE, value)
    return visitor


# --- signing in --------------------------------------------------------------------------------


def test_signing_in_leads_to_the_list(stranger: Visitor) -> None:
    answer = attempt(stranger)
    assert answer.location == LIST
    assert ANN in stranger.get(answer.location).text


def test_the_address_counts_in_any_case(stranger: Visitor) -> None:
    attempt(stranger, email="ANN@Example.org")
    assert is_signed_in(stranger)


def test_an_unknown_account_and_a_wrong_password_look_the_same(stranger: Visitor) -> None:
    wrong = attempt(stranger, password=WRONG)
    unknown = attempt(stranger, email="nobody@example.org", password=WRONG)
    assert wrong.status == unknown.status
    assert wrong.text == unknown.text
    assert wrong.root.all("p", class_="error")
    assert not is_signed_in(stranger)


def test_a_wrong_password_is_not_sent_back_and_the_address_is(stranger: Visitor) -> None:
    page = attempt(stranger, password=WRONG)
    assert page.form("/login").one("input", name="email")["value"] == ANN
    assert WRONG not in page.html


@pytest.mark.parametrize("missing", ["email", "password"])
def test_nothing_typed_is_refused(stranger: Visitor, missing: str) -> None:
    assert attempt(stranger, **{missing: ""}).root.all("p", class_="error")
    assert not is_signed_in(stranger)


def test_signing_in_needs_the_token_of_the_form(stranger: Visitor) -> None:
    stranger.post("/login", email=ANN, password=PASSWORD)
    assert not is_signed_in(stranger)


def test_who_is_signed_in_already_is_led_on(admin: Visitor) -> None:
    assert admin.get("/login").location == LIST


def test_the_cookie_is_for_this_site_and_not_for_scripts(stranger: Visitor) -> None:
    sent = attempt(stranger).headers["Set-Cookie"]
    assert "HttpOnly" in sent
    assert "SameSite=Lax" in sent


# --- where it leads ----------------------------------------------------------------------------


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
def test_a_page_asks_to_sign_in_and_comes_after_it(
    stranger: Visitor, register: Register, path: str
) -> None:
    register("phone-1")
    answer = stranger.get(path)
    assert answer.status in (302, 303)
    assert urlsplit(answer.location).path == "/login"
    assert parse_qs(urlsplit(answer.location).query)["next"] == [path]
    login = stranger.get(answer.location)
    assert ANN not in login.text
    after = stranger.submit(login, "/login", email=ANN, password=PASSWORD)
    assert after.location == path
    assert stranger.get(path).status == 200


def test_a_wrong_password_forgets_not_where_to_go(stranger: Visitor) -> None:
    page = attempt(stranger, at="/login?next=/settings/api-tokens", password=WRONG)
    answer = stranger.submit(page, "/login", email=ANN, password=PASSWORD)
    assert answer.location == "/settings/api-tokens"


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
def test_signing_in_leads_to_no_other_site(stranger: Visitor, target: str) -> None:
    assert_stays_here(attempt(stranger, at=f"/login?{urlencode({'next': target})}"))


def assert_stays_here(answer: Page) -> None:
    assert answer.status < 400
    led_to = urljoin("http://localhost/login", answer.headers.get("Location", LIST))
    assert re.match(r"http://localhost/(?![/\\\s])", led_to)


@pytest.mark.parametrize("action", ["name", "block", "unblock"])
def test_nothing_can_be_changed_without_signing_in(
    stranger: Visitor,
    administrator: Administrator,
    register: Register,
    action: str,
) -> None:
    device = register("phone-1")
    before = administrator.device()
    token = stranger.get("/login").form("/login").one("input", name="csrf_token")["value"]
    answer = stranger.post(f"{LIST}/{device}/{action}", csrf_token=token, name="New")
    assert urlsplit(answer.location).path == "/login"
    assert administrator.device() == before


def test_no_token_can_be_made_or_revoked_without_signing_in(
    stranger: Visitor, admin: Visitor, token: str
) -> None:
    before = admin.get("/settings/api-tokens").text
    form = stranger.get("/login").form("/login").one("input", name="csrf_token")["value"]
    for path in ("/settings/api-tokens", "/settings/api-tokens/1/revoke"):
        assert stranger.post(path, csrf_token=form, name="New").status == 303
    assert admin.get("/settings/api-tokens").text == before


# --- signing out -------------------------------------------------------------------------------


def test_signing_out_leads_to_signing_in(admin: Visitor) -> None:
    answer = admin.change(LIST, "/logout")
    assert answer.location == "/login"
    assert not is_signed_in(admin)


def test_signing_out_ends_the_session_on_the_server(
    app: Flask, admin: Visitor, session_cookie: str
) -> None:
    admin.change(LIST, "/logout")
    assert not is_signed_in(with_cookie(app, session_cookie))


def test_signing_out_ends_the_sessions_in_other_browsers(admin: Visitor, stranger: Visitor) -> None:
    attempt(stranger)
    admin.change(LIST, "/logout")
    assert not is_signed_in(stranger)


def test_signing_out_leaves_other_accounts_alone(
    app: Flask, admin: Visitor, stranger: Visitor
) -> None:
    create_account(app, "bob@example.org")
    attempt(stranger, email="bob@example.org")
    admin.change(LIST, "/logout")
    assert is_signed_in(stranger)


def test_opening_an_address_signs_nobody_out(admin: Visitor) -> None:
    assert admin.get("/logout").status == 405
    assert is_signed_in(admin)


def test_signing_out_needs_the_token_of_the_form(admin: Visitor) -> None:
    assert admin.post("/logout").status == 400
    assert is_signed_in(admin)


# --- a session that ended while a page was open ------------------------------------------------


@pytest.mark.parametrize("action", ["name", "block"])
def test_htmx_is_led_to_signing_in_and_back_to_the_page(
    app: Flask,
    admin: Visitor,
    administrator: Administrator,
    register: Register,
    action: str,
) -> None:
    device = register("phone-1")
    page = admin.get(f"{LIST}?name=phone")
    before = administrator.device()
    token = page.form("/name").one("input", name="csrf_token")["value"]
    answer = Visitor(app.test_client()).post(
        f"{LIST}/{device}/{action}?from=list&name=phone",
        htmx=True,
        at=page.path,
        csrf_token=token,
        name="New",
    )
    assert_leads_to_sign_in(answer, back_to=page.path)
    assert administrator.device() == before


def test_htmx_is_led_to_signing_in_when_it_only_looks(stranger: Visitor) -> None:
    answer = stranger.get(f"{LIST}?name=x", htmx=True, HX_Current_URL=f"http://localhost{LIST}")
    assert_leads_to_sign_in(answer, back_to=LIST)


def assert_leads_to_sign_in(answer: Page, back_to: str) -> None:
    place = urlsplit(answer.headers["HX-Redirect"])
    assert (place.netloc, place.path) == ("", "/login")
    assert parse_qs(place.query) == {"next": [back_to]}


def test_htmx_from_another_site_leads_to_no_other_site(stranger: Visitor) -> None:
    answer = stranger.get(LIST, htmx=True, HX_Current_URL="https://evil.example//evil.example/x")
    assert_leads_to_sign_in(answer, back_to="//evil.example/x")
    assert_stays_here(attempt(stranger, at=answer.headers["HX-Redirect"]))


@pytest.mark.parametrize("header", ["HX_Current_URL", "Referer"])
def test_a_page_with_a_broken_address_can_not_be_come_back_to(
    stranger: Visitor, header: str
) -> None:
    answer = stranger.get(LIST, htmx=True, **{header: "http://["})
    assert answer.status == 401
    assert urlsplit(answer.headers["HX-Redirect"]).path == "/login"


# --- before there is any account ---------------------------------------------------------------


def test_without_an_account_the_page_tells_how_to_make_one(bare: Visitor) -> None:
    assert "There is no account yet." in bare.get("/login").text


def test_with_an_account_the_page_tells_nothing_of_it(stranger: Visitor) -> None:
    assert "There is no account yet." not in stranger.get("/login").text
