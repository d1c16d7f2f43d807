"""The setup link, which creates the first administrator account."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from apidevices.standalone.accounts import setup_path
from harness.databases import Variables
from tests.conftest import state_of
from tests.pages.conftest import ANN, PASSWORD, create_account, sign_in
from tests.pages.sign_in import audit_log
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"

VALID: dict[str, Any] = {"email": ANN, "password": PASSWORD, "password_again": PASSWORD}


@pytest.fixture
def template(migrated: Variables) -> Variables:
    """A database without any account."""
    return migrated


@pytest.fixture
def link(app: Flask) -> str:
    """The link that the server prints when it starts for the first time."""
    return setup_path(app)


def fill_in(visitor: Visitor, link: str, **typed: str) -> Page:
    return visitor.change(link, link, **{**VALID, **typed})


def test_setup_creates_the_account_and_signs_in(anonymous: Visitor, link: str) -> None:
    response = fill_in(anonymous, link)
    assert response.location == LIST
    page = anonymous.follow(response)
    assert page.announced == "Your account is ready."
    assert ANN in page.text


def test_setup_is_recorded_and_makes_the_address_known(
    app: Flask, anonymous: Visitor, link: str
) -> None:
    fill_in(anonymous, link)
    assert [entry.action for entry in audit_log(app)] == ["user.created", "user.signed_in"]
    with state_of(app).db.connect() as connection:
        found = connection.exec_driver_sql("SELECT address FROM apidevices_user_addresses")
        assert found.scalars().all() == ["127.0.0.1"]


def test_created_account_can_sign_in(app: Flask, anonymous: Visitor, link: str) -> None:
    fill_in(anonymous, link)
    later = Visitor(app.test_client())
    sign_in(later, ANN)
    assert later.get(LIST).status == 200


def test_setup_link_works_only_once(app: Flask, anonymous: Visitor, link: str) -> None:
    fill_in(anonymous, link)
    for visitor in (anonymous, Visitor(app.test_client())):
        page = visitor.get(link)
        assert page.status == 404
        assert "has been used" in page.text


def test_setup_form_opened_earlier_creates_no_second_account(
    app: Flask, anonymous: Visitor, link: str
) -> None:
    late = Visitor(app.test_client())
    page = late.get(link)
    fill_in(anonymous, link)
    second = {**VALID, "email": "eve@example.org"}
    assert late.submit(page, link, **second).status == 404
    assert late.get(LIST).status == 303


@pytest.mark.parametrize(
    "tamper",
    [
        lambda link: "/setup/x",
        lambda link: f"{link[: link.rindex('.')]}.{link[: link.rindex('.') : -1]}",
        lambda link: link.partition(".")[0],
    ],
    ids=["not a setup token", "wrong signature", "no signature"],
)
def test_invalid_setup_link_is_not_found(
    anonymous: Visitor, link: str, tamper: Callable[[str], str]
) -> None:
    page = anonymous.get(tamper(link))
    assert page.status == 404
    assert "not valid" in page.text


def test_setup_link_stops_working_after_create_user(
    app: Flask, anonymous: Visitor, link: str
) -> None:
    create_account(app, ANN)
    assert anonymous.get(link).status == 404


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"password": "short", "password_again": "short"}, "at least 12 characters"),
        ({"password_again": "something else"}, "The passwords don't match."),
        ({"password": "", "password_again": ""}, "Choose a password."),
        ({"email": "ann at home"}, "This is not an email address."),
        ({"email": ""}, "Enter your email address."),
    ],
    ids=["weak password", "passwords differ", "no password", "invalid email", "no email"],
)
def test_invalid_form_shows_the_error_at_its_field_and_keeps_the_email(
    anonymous: Visitor, link: str, typed: dict[str, str], message: str
) -> None:
    page = fill_in(anonymous, link, **typed)
    assert page.status == 422
    [focused] = page.root.all("input", autofocus="")
    assert focused["aria-invalid"] == "true"
    described = [page.root.one(id=name).text for name in focused["aria-describedby"].split()]
    assert message in " ".join(described)
    assert page.form(link).one("input", name="email")["value"] == typed.get("email", ANN)
    assert PASSWORD not in page.html
    assert anonymous.get(LIST).status == 303
    assert fill_in(anonymous, link).status == 303


def test_email_address_with_a_private_domain_is_accepted(anonymous: Visitor, link: str) -> None:
    assert fill_in(anonymous, link, email="ann@office.local").status == 303


def test_setup_without_csrf_token_is_rejected(anonymous: Visitor, link: str) -> None:
    anonymous.post(link, email=ANN, password=PASSWORD, password_again=PASSWORD)
    assert anonymous.get(link).status == 200
    assert anonymous.get(LIST).status == 303
