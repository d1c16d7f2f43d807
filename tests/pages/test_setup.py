"""The setup link, which makes the first administrator's account."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from apidevices.standalone.accounts import setup_path
from harness.databases import Variables
from tests.pages.conftest import ANN, PASSWORD, create_account, sign_in
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"

WHOLE: dict[str, Any] = {"email": ANN, "password": PASSWORD, "password_again": PASSWORD}


@pytest.fixture
def template(migrated: Variables) -> Variables:
    """The database without any account."""
    return migrated


@pytest.fixture
def link(app: Flask) -> str:
    """The link, as it is printed at the first start."""
    return setup_path(app)


def fill_in(visitor: Visitor, link: str, **typed: str) -> Page:
    return visitor.change(link, link, **{**WHOLE, **typed})


def test_it_makes_the_account_and_signs_in(stranger: Visitor, link: str) -> None:
    answer = fill_in(stranger, link)
    assert answer.location == LIST
    page = stranger.follow(answer)
    assert page.announced == "Your account is ready."
    assert ANN in page.text


def test_the_account_can_sign_in_later(app: Flask, stranger: Visitor, link: str) -> None:
    fill_in(stranger, link)
    later = Visitor(app.test_client())
    sign_in(later, ANN)
    assert later.get(LIST).status == 200


def test_it_works_once(app: Flask, stranger: Visitor, link: str) -> None:
    fill_in(stranger, link)
    for visitor in (stranger, Visitor(app.test_client())):
        page = visitor.get(link)
        assert page.status == 404
        assert "has been used" in page.text


def test_a_page_that_was_open_already_makes_no_second_account(
    app: Flask, stranger: Visitor, link: str
) -> None:
    late = Visitor(app.test_client())
    page = late.get(link)
    fill_in(stranger, link)
    second = {**WHOLE, "email": "eve@example.org"}
    assert late.submit(page, link, **second).status == 404
    assert late.get(LIST).status == 303


@pytest.mark.parametrize(
    "break_it",
    [
        lambda link: "/setup/x",
        lambda link: f"{link[: link.rindex('.')]}.{link[: link.rindex('.') : -1]}",
        lambda link: link.partition(".")[0],
    ],
    ids=["made up", "changed", "without its signature"],
)
def test_a_wrong_link_is_not_found(
    stranger: Visitor, link: str, break_it: Callable[[str], str]
) -> None:
    page = stranger.get(break_it(link))
    assert page.status == 404
    assert "not valid" in page.text


def test_it_stops_working_once_an_account_was_made_otherwise(
    app: Flask, stranger: Visitor, link: str
) -> None:
    create_account(app, ANN)
    assert stranger.get(link).status == 404


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"password": "short", "password_again": "short"}, "at least 8 characters"),
        ({"password_again": "something else"}, "The passwords don't match."),
        ({"password": "", "password_again": ""}, "Choose a password."),
        ({"email": "ann at home"}, "This is not an e-mail address."),
        ({"email": ""}, "Enter your e-mail address."),
    ],
    ids=["weak password", "two passwords", "no password", "wrong address", "no address"],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(
    stranger: Visitor, link: str, typed: dict[str, str], said: str
) -> None:
    page = fill_in(stranger, link, **typed)
    assert page.status == 422
    assert said in page.text
    assert page.form(link).one("input", name="email")["value"] == typed.get("email", ANN)
    assert PASSWORD not in page.html
    assert stranger.get(LIST).status == 303
    assert fill_in(stranger, link).status == 303


def test_an_address_of_a_company_network_is_taken(stranger: Visitor, link: str) -> None:
    assert fill_in(stranger, link, email="ann@office.local").status == 303


def test_it_needs_the_token_of_the_form(stranger: Visitor, link: str) -> None:
    stranger.post(link, email=ANN, password=PASSWORD, password_again=PASSWORD)
    assert stranger.get(link).status == 200
    assert stranger.get(LIST).status == 303
