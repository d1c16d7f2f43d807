"""Settings > Account: the password."""

from typing import Any

import pytest
from flask import Flask

from tests.pages.conftest import ANN, COOKIE, PASSWORD
from tests.pages.visitor import Page, Visitor

ACCOUNT = "/settings/account"
NEW = "another horse battery"


def change(visitor: Visitor, **typed: str) -> Page:
    whole: dict[str, Any] = {
        "password": PASSWORD,
        "new_password": NEW,
        "new_password_confirm": NEW,
    }
    return visitor.change(ACCOUNT, ACCOUNT, **{**whole, **typed})


def can_sign_in(app: Flask, password: str) -> bool:
    visitor = Visitor(app.test_client())
    visitor.change("/login", "/login", email=ANN, password=password)
    return visitor.get(ACCOUNT).status == 200


def test_it_tells_who_is_signed_in(admin: Visitor) -> None:
    assert f"You are signed in as {ANN}" in admin.get(ACCOUNT).text


def test_a_new_password_replaces_the_old_one(app: Flask, admin: Visitor) -> None:
    answer = change(admin)
    page = admin.get(answer.location)
    assert "changed your password" in page.announced
    assert page.status == 200
    assert can_sign_in(app, NEW)
    assert not can_sign_in(app, PASSWORD)


def test_a_new_password_ends_other_sessions(
    app: Flask, admin: Visitor, session_cookie: str
) -> None:
    change(admin)
    thief = Visitor(app.test_client())
    thief.client.set_cookie(COOKIE, session_cookie)
    assert thief.get(ACCOUNT).status in (302, 303)
    assert admin.get(ACCOUNT).status == 200


@pytest.mark.parametrize(
    "typed",
    [
        {"password": "not the password"},
        {"new_password_confirm": "something else"},
        {"new_password": "short", "new_password_confirm": "short"},
        {"new_password": "", "new_password_confirm": ""},
    ],
    ids=["wrong password", "two passwords", "weak password", "no password"],
)
def test_what_is_wrong_is_said_and_nothing_changed(
    app: Flask, admin: Visitor, typed: dict[str, str]
) -> None:
    page = change(admin, **typed)
    assert page.is_whole
    assert page.root.all("p", class_="error")
    assert PASSWORD not in page.html
    assert can_sign_in(app, PASSWORD)


def test_it_needs_the_token_of_the_form(app: Flask, admin: Visitor) -> None:
    admin.post(ACCOUNT, password=PASSWORD, new_password=NEW, new_password_confirm=NEW)
    assert can_sign_in(app, PASSWORD)


def test_a_password_manager_finds_its_way(admin: Visitor) -> None:
    form = admin.get(ACCOUNT).form(ACCOUNT)
    fields = form.all("input", type="password")
    assert {field["name"]: field.get("autocomplete") for field in fields} == {
        "password": "current-password",
        "new_password": "new-password",
        "new_password_confirm": "new-password",
    }
