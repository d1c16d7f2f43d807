"""The page behind a reset link, which sets a new password once."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask

from apidevices.standalone.accounts.reset import INVALID, LIFETIME
from tests.command_line import Cli
from tests.conftest import NOON, FakeClock, MakeApp
from tests.pages.conftest import ANN, PASSWORD, SECRET_KEY, create_account, signed_in_visitor
from tests.pages.visitor import Page, Visitor

pytestmark = pytest.mark.database("sqlite")

LIST = "/settings/api-devices"
NEW = "another horse battery staple"
SECOND = timedelta(seconds=1)


@pytest.fixture
def link(app: Flask) -> str:
    """The path of a reset link."""
    return new_link(app)


def new_link(app: Flask) -> str:
    return urlsplit(Cli(app).succeed("reset-password", ANN).strip()).path


def choose(visitor: Visitor, link: str, password: str = NEW, again: str = NEW) -> Page:
    return visitor.change(link, link, password=password, password_again=again)


def can_sign_in(app: Flask, password: str) -> bool:
    visitor = Visitor(app.test_client())
    visitor.change("/login", "/login", email=ANN, password=password)
    return visitor.get(LIST).status == 200


def test_link_sets_the_password_once(app: Flask, anonymous: Visitor, link: str) -> None:
    page = anonymous.get(link)
    assert ANN in page.text
    assert page.form(link).one("input", autocomplete="username")["value"] == ANN
    login = anonymous.follow(choose(anonymous, link))
    assert login.announced == "Your password has been changed. Sign in with it."
    assert (can_sign_in(app, NEW), can_sign_in(app, PASSWORD)) == (True, False)
    used = anonymous.get(link)
    assert used.status == 404
    assert INVALID in used.text
    actors = {entry["action"]: entry["actor"] for entry in Cli(app).json("audit-log")}
    assert actors["user.reset_link_created"] == "the command line"
    assert actors["user.password_reset"] == ANN


def test_form_opened_before_the_link_was_used_is_rejected(
    app: Flask, anonymous: Visitor, link: str
) -> None:
    late = Visitor(app.test_client())
    page = late.get(link)
    choose(anonymous, link)
    third = "a third horse battery"
    response = late.submit(page, link, password=third, password_again=third)
    assert response.status == 404
    assert can_sign_in(app, NEW)


def test_link_ends_all_sessions_of_the_account(
    admin: Visitor, anonymous: Visitor, link: str
) -> None:
    assert admin.get(LIST).status == 200
    choose(anonymous, link)
    assert admin.get(LIST).status == 303


def test_link_works_for_a_day(anonymous: Visitor, link: str, fake_clock: FakeClock) -> None:
    fake_clock.set(NOON + LIFETIME - SECOND)
    assert anonymous.get(link).status == 200
    fake_clock.set(NOON + LIFETIME)
    assert anonymous.get(link).status == 404


@pytest.mark.parametrize("event", ["new link", "set-password", "disabled", "changed on the page"])
def test_link_becomes_invalid(
    app: Flask, admin: Visitor, anonymous: Visitor, link: str, event: str
) -> None:
    cli = Cli(app)
    if event == "new link":
        assert anonymous.get(new_link(app)).status == 200
    elif event == "set-password":
        cli.succeed("set-password", ANN, "--password-stdin", stdin=f"{NEW}\n")
    elif event == "disabled":
        create_account(app, "bob@example.org")
        cli.succeed("disable-user", ANN)
        cli.succeed("enable-user", ANN)
    else:
        account = "/settings/account"
        response = admin.change(
            account, account, password=PASSWORD, new_password=NEW, new_password_confirm=NEW
        )
        assert response.status in (302, 303)
    assert anonymous.get(link).status == 404


@pytest.mark.parametrize(
    ("password", "again", "message"),
    [
        ("short", "short", "The password must have at least"),
        (NEW, "something else", "The passwords don't match."),
        ("", "", "Choose a password."),
    ],
)
def test_invalid_password_is_explained(
    app: Flask, anonymous: Visitor, link: str, password: str, again: str, message: str
) -> None:
    page = choose(anonymous, link, password, again)
    assert page.status == 422
    assert message in page.text
    assert NEW not in page.html
    assert anonymous.get(link).status == 200


def test_form_needs_a_csrf_token(app: Flask, anonymous: Visitor, link: str) -> None:
    assert anonymous.post(link, password=NEW, password_again=NEW).status != 200
    assert can_sign_in(app, PASSWORD)


@pytest.mark.parametrize("token", ["x", "x" * 43, "%00", "%ED%A0%80"])
def test_unknown_link_is_404(anonymous: Visitor, token: str) -> None:
    assert anonymous.get(f"/reset-password/{token}").status == 404


# --- sessions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("disable-user",), ("delete-user", "--yes")])
def test_sessions_of_a_removed_account_end_in_every_process(
    app: Flask, make_app: MakeApp, session_cookie: str, arguments: tuple[str, ...]
) -> None:
    create_account(app, "bob@example.org")
    workers = [app, make_app(SECRET_KEY=SECRET_KEY)]

    def statuses() -> list[int]:
        return [signed_in_visitor(worker, session_cookie).get(LIST).status for worker in workers]

    assert statuses() == [200, 200]
    Cli(app).succeed(*arguments, ANN)
    assert statuses() == [303, 303]
    if arguments == ("disable-user",):
        assert not can_sign_in(app, PASSWORD)
        Cli(app).succeed("enable-user", ANN)
        assert statuses() == [303, 303]
        assert can_sign_in(app, PASSWORD)
