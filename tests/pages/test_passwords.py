"""The rules for new passwords: on the setup page, on the account page and on the command line."""

from typing import Any

import pytest
from flask import Flask
from passlib.context import CryptContext

from apidevices.errors import InvalidInput
from apidevices.standalone.accounts import passwords
from tests.pages.conftest import ANN, PASSWORD, create_account
from tests.pages.sign_in import KNOWN, make_hashes_cheap, sign_in
from tests.pages.visitor import Visitor

ACCENT = "\N{COMBINING ACUTE ACCENT}"
FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
GOOD = "twelve chars"

TOO_SHORT = "The password must have at least 12 characters."
TOO_LONG = "The password must have at most 256 characters."
BREACHED = "This password is known from data breaches. Choose another one."
OWN_EMAIL = "The password must not be the email address of the account, or the part before the @."


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "пароль кошки",
        "  spaces kept  ",
        FAMILY * 12,
        f"e{ACCENT}" * 12,
        "a b" * 85 + "c",  # 256 characters
        f"e{ACCENT}" * 256,
        "annie@example.org",
    ],
)
def test_password_is_accepted(password: str) -> None:
    passwords.check(password, ANN)


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("", TOO_SHORT),
        ("eleven char", TOO_SHORT),
        (f"e{ACCENT}" * 11, TOO_SHORT),
        (FAMILY * 11, TOO_SHORT),
        ("a b" * 85 + "cd", TOO_LONG),
        (f"e{ACCENT}" * 257, TOO_LONG),
        (f"e{ACCENT * 400}" * 12, TOO_LONG),
        ("correcthorsebatterystaple", BREACHED),
        ("CorrectHorseBatteryStaple", BREACHED),
        ("passwordpassword", BREACHED),
        ("\N{FULLWIDTH LATIN SMALL LETTER P}asswordpassword", BREACHED),
        ("ann@example.org", OWN_EMAIL),
        ("ANN@Example.ORG", OWN_EMAIL),
    ],
)
def test_password_is_refused_with_the_reason(password: str, message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        passwords.check(password, ANN)
    assert (error.value.field, str(error.value)) == ("password", message)


def test_part_of_the_email_address_before_the_at_sign_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must not be the email address of the account"):
        passwords.check("Annabel.Lee.Poe", "annabel.lee.poe@example.org")


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("eleven char", TOO_SHORT),
        ("a b" * 85 + "cd", TOO_LONG),
        ("passwordpassword", BREACHED),
        (ANN, OWN_EMAIL),
    ],
)
def test_account_page_says_what_is_wrong(
    app: Flask, admin: Visitor, password: str, message: str
) -> None:
    make_hashes_cheap(app)
    new: dict[str, Any] = {"new_password": password, "new_password_confirm": password}
    page = admin.change("/settings/account", "/settings/account", password=PASSWORD, **new)
    assert [error.text for error in page.root.all("p", class_="error")] == [message]


@pytest.mark.database("sqlite")
def test_command_says_what_is_wrong(app: Flask) -> None:
    arguments = ["apidevices", "create-user", "bob@example.org", "--password-stdin"]
    result = app.test_cli_runner().invoke(args=arguments, input="passwordpassword\n")
    assert result.exit_code == 1
    assert BREACHED in result.output


@pytest.mark.database("sqlite")
def test_account_page_shows_the_rules(admin: Visitor) -> None:
    assert passwords.HINT in admin.get("/settings/account").text


@pytest.mark.database("sqlite")
def test_password_of_256_characters_works(app: Flask) -> None:
    make_hashes_cheap(app)
    long = "a b" * 85 + "c"
    create_account(app, "bob@example.org", long)
    assert sign_in(app, KNOWN, email="bob@example.org", password=long).status == 302
    wrong = sign_in(app, KNOWN, email="bob@example.org", password=long[:-1])
    assert wrong.status == 200


@pytest.mark.database("sqlite")
def test_keyboards_may_compose_accents_differently(app: Flask) -> None:
    make_hashes_cheap(app)
    create_account(app, "bob@example.org", f"cre{ACCENT}me brule{ACCENT}e")
    composed = "crème brulée".replace("è", "é")
    assert sign_in(app, KNOWN, email="bob@example.org", password=composed).status == 302


@pytest.mark.database("sqlite")
def test_shorter_password_of_an_existing_account_keeps_working(app: Flask) -> None:
    make_hashes_cheap(app)
    security = app.extensions["security"]
    with app.app_context():
        security.datastore.find_user(email=ANN).password = passwords.hashed("8 chars!")
        security.datastore.commit()
    assert sign_in(app, KNOWN, password="8 chars!").status == 302


@pytest.mark.database("sqlite")
def test_new_hashes_use_one_thread_and_older_ones_are_replaced(app: Flask) -> None:
    security = app.extensions["security"]
    with app.app_context():
        user = security.datastore.find_user(email=ANN)
        assert "p=1$" in user.password
        user.password = CryptContext(["argon2"], argon2__parallelism=4).hash(PASSWORD)
        security.datastore.commit()
    assert sign_in(app, KNOWN).status == 302
    with app.app_context():
        assert "p=1$" in security.datastore.find_user(email=ANN).password
