"""A new token can't be read in the session cookie or the database."""

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from sqlalchemy import select

from apidevices import tokens
from apidevices.database import Database
from apidevices.models import ApiToken
from tests.conftest import NOON, FakeClock
from tests.pages.conftest import COOKIE, signed_in_visitor
from tests.pages.test_tokens import token_text
from tests.pages.visitor import Visitor

TOKENS = "/settings/api-tokens"
NEW = f"{TOKENS}/new"
PLAIN_AND_HTMX = pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])


def created_without_javascript(admin: Visitor) -> tuple[str, str]:
    """Create a token. Return the cookie with which the next page shows it, and the token."""
    response = admin.change(NEW, TOKENS, name="box office")
    cookie = admin.client.get_cookie(COOKIE)
    assert cookie is not None
    return cookie.value, token_text(admin.follow(response))


def test_session_cookie_does_not_contain_the_new_token(app: Flask, admin: Visitor) -> None:
    cookie, token = created_without_javascript(admin)
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    content = serializer.loads(cookie)
    assert "_apidevices_sealed_token" in content
    assert token not in str(content)
    assert token.encode().hex() not in str(content)


def test_replayed_session_cookie_does_not_show_the_new_token(app: Flask, admin: Visitor) -> None:
    cookie, token = created_without_javascript(admin)
    page = signed_in_visitor(app, cookie).get(TOKENS)
    assert page.status == 200
    assert token not in page.html


def test_head_request_does_not_use_up_the_display(admin: Visitor) -> None:
    response = admin.change(NEW, TOKENS, name="box office")
    assert admin.client.head(TOKENS).status_code == 200
    assert token_text(admin.follow(response)).startswith("apd_")


def test_database_contains_the_new_token_only_encrypted_and_until_it_is_shown(
    admin: Visitor, db: Database
) -> None:
    response = admin.change(NEW, TOKENS, name="box office")
    [(before, _)] = stored(db)
    token = token_text(admin.follow(response))
    [(after, digest)] = stored(db)
    assert before is not None
    assert token.encode() not in before
    assert after is None
    assert digest == tokens.digest(token)


def stored(db: Database) -> list[tuple[bytes | None, bytes]]:
    with db.read() as session:
        return [(token.sealed_text, token.digest) for token in session.scalars(select(ApiToken))]


@pytest.mark.parametrize("change", ["wait", "revoke"])
def test_new_token_is_not_shown_too_late(
    admin: Visitor, db: Database, fake_clock: FakeClock, change: str
) -> None:
    response = admin.change(NEW, TOKENS, name="box office")
    if change == "wait":
        fake_clock.set(NOON + tokens.SEALED_FOR)
    else:
        tokens.revoke(db, 1, actor="the test", now=NOON)
    assert admin.follow(response).root.all(id="new-token") == []
    assert [sealed for sealed, _ in stored(db)] == [None]
