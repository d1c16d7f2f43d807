"""Settings > Account: changing the password."""

from typing import Any

import pytest
from flask import Flask

from tests.pages.conftest import ANN, COOKIE, PASSWORD
from tests.pages.visitor import Page, Visitor

ACCOUNT = "/settings/account"
NEW = "another horse battery"


def change(visitor: Visitor, **typed: str) -> Page:
    fields: dict[str, Any] = {
        "password": PASSWORD,
        "new_password": NEW,
        "new_password_confirm": NEW,
    }
    return visitor.change(ACCOUNT, ACCOUNT, **{**fields, **typed})


def can_sign_in(app: Flask, password: str) -> bool:
    visitor = Visitor(app.test_client())
    visitor.change("/login", "/login", email=ANN, password=password)
    return visitor.get(ACCOUNT).status == 200


def test_account_page_names_the_signed_in_account(admin: Visitor) -> None:
    assert f"You are signed in as {ANN}" in admin.get(ACCOUNT).text


def test_new_password_replaces_the_old_one(app: Flask, admin: Visitor) -> None:
    page = admin.get(change(admin).location)
    assert page.announced == "Your password has been changed."
    assert page.status == 200
    assert can_sign_in(app, NEW)
    assert not can_sign_in(app, PASSWORD)


def test_new_password_ends_other_sessions(app: Flask, admin: Visitor, session_cookie: str) -> None:
    change(admin)
    other = Visitor(app.test_client())
    other.client.set_cookie(COOKIE, session_cookie)
    assert other.get(ACCOUNT).status in (302, 303)
    assert admin.get(ACCOUNT).status == 200


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"password": "not the password"}, "The current password is wrong."),
        ({"new_password_confirm": "something else"}, "The passwords don't match."),
        (
            {"new_password": "short", "new_password_confirm": "short"},
            "The password must have at least 12 characters.",
        ),
        (
            {"new_password": PASSWORD, "new_password_confirm": PASSWORD},
            "The new password must differ from the current one.",
        ),
        ({"password": ""}, "Enter your password."),
        ({"new_password": "", "new_password_confirm": ""}, "Enter a new password."),
        ({"new_password_confirm": ""}, "Enter the new password again."),
    ],
    ids=[
        "wrong password",
        "passwords differ",
        "weak password",
        "same password",
        "no current password",
        "no new password",
        "no confirmation",
    ],
)
def test_invalid_form_shows_an_error_and_keeps_the_password(
    app: Flask, admin: Visitor, typed: dict[str, str], message: str
) -> None:
    page = change(admin, **typed)
    assert page.is_full_page
    assert message in [error.text for error in page.root.all("p", class_="error")]
    assert PASSWORD not in page.html
    assert can_sign_in(app, PASSWORD)


def test_password_change_without_csrf_token_is_rejected(app: Flask, admin: Visitor) -> None:
    admin.post(ACCOUNT, password=PASSWORD, new_password=NEW, new_password_confirm=NEW)
    assert can_sign_in(app, PASSWORD)


def test_password_fields_have_autocomplete_hints(admin: Visitor) -> None:
    form = admin.get(ACCOUNT).form(ACCOUNT)
    fields = form.all("input", type="password")
    assert {field["name"]: field.get("autocomplete") for field in fields} == {
        "password": "current-password",
        "new_password": "new-password",
        "new_password_confirm": "new-password",
    }


@pytest.mark.database("sqlite")
def test_json_is_rejected(admin: Visitor) -> None:
    token = admin.get(ACCOUNT).form(ACCOUNT).one("input", name="csrf_token")["value"]
    response = admin.client.post(ACCOUNT, json={"password": 1}, headers={"X-CSRFToken": token})
    assert response.status_code == 415
