"""Sessions: their cookies, how long they last, and what a sign-in leaves of the one before."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices.standalone.sessions import MAX_AGE
from tests.conftest import NOON, FakeClock, MakeApp
from tests.pages.conftest import ANN, COOKIE, PASSWORD, SECRET_KEY, sign_in, signed_in_visitor
from tests.pages.visitor import Visitor

pytestmark = pytest.mark.database("sqlite")

LIST = "/settings/api-devices"
HOST_COOKIE = f"__Host-{COOKIE}"
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def is_signed_in(visitor: Visitor, path: str = LIST) -> bool:
    return visitor.get(path).status in (200, 204)


def cookie(visitor: Visitor) -> str:
    found = visitor.client.get_cookie(COOKIE)
    assert found is not None
    return found.value


# --- duration ----------------------------------------------------------------------------------


def test_session_ends_after_12_idle_hours(admin: Visitor, fake_clock: FakeClock) -> None:
    fake_clock.set(NOON + 12 * HOUR - MINUTE)
    assert is_signed_in(admin)
    fake_clock.set(NOON + 24 * HOUR - 2 * MINUTE)
    assert is_signed_in(admin)
    fake_clock.set(NOON + 36 * HOUR)
    assert not is_signed_in(admin)


def test_setting_changes_when_an_idle_session_ends(
    make_app: MakeApp, session_cookie: str, fake_clock: FakeClock
) -> None:
    app = make_app(SECRET_KEY=SECRET_KEY, APIDEVICES_SESSION_HOURS="0.5")
    fake_clock.set(NOON + HOUR / 2)
    assert not is_signed_in(signed_in_visitor(app, session_cookie))


def test_session_in_use_ends_after_30_days(admin: Visitor, fake_clock: FakeClock) -> None:
    moment = NOON
    while moment < NOON + MAX_AGE - 8 * HOUR:
        moment += 8 * HOUR
        fake_clock.set(moment)
        assert is_signed_in(admin), moment
    fake_clock.set(NOON + MAX_AGE)
    assert not is_signed_in(admin)


def test_polling_page_does_not_keep_a_session_alive(admin: Visitor, fake_clock: FakeClock) -> None:
    for hours in range(1, 12):
        fake_clock.set(NOON + hours * HOUR)
        assert is_signed_in(admin, f"{LIST}?waiting=1")
    fake_clock.set(NOON + 12 * HOUR)
    assert not is_signed_in(admin)


def test_api_request_does_not_keep_a_session_alive(admin: Visitor, fake_clock: FakeClock) -> None:
    fake_clock.set(NOON + HOUR)
    for path in ("/api/v1/device", "/livez", f"{LIST}/static/app.css"):
        response = admin.client.get(path, buffered=True)
        assert "Set-Cookie" not in response.headers, path


def test_used_session_sets_its_cookie_at_most_once_a_minute(
    admin: Visitor, fake_clock: FakeClock
) -> None:
    admin.get(LIST)  # stores the CSRF token
    fake_clock.set(NOON + MINUTE / 2)
    assert "Set-Cookie" not in admin.get(LIST).headers
    fake_clock.set(NOON + MINUTE)
    assert "Set-Cookie" in admin.get(LIST).headers


def test_remember_field_of_the_sign_in_form_has_no_effect(app: Flask, anonymous: Visitor) -> None:
    form = anonymous.get("/login").form("/login")
    token = form.one("input", name="csrf_token")["value"]
    response = anonymous.post(
        "/login", csrf_token=token, email=ANN, password=PASSWORD, remember="y"
    )
    [sent] = response.headers.getlist("Set-Cookie")
    assert sent.startswith(f"{COOKIE}=")
    assert "Expires" not in sent
    assert "Max-Age" not in sent


def test_remember_cookie_of_an_older_version_is_ignored(app: Flask, admin: Visitor) -> None:
    from flask_login.utils import encode_cookie

    with admin.client.session_transaction() as session:
        user_id = session["_user_id"]
    with app.app_context():
        remembered = encode_cookie(user_id)
    visitor = Visitor(app.test_client())
    visitor.client.set_cookie("remember_token", remembered)
    assert not is_signed_in(visitor)


# --- sign-in -----------------------------------------------------------------------------------


def test_sign_in_renews_the_csrf_token_and_forgets_what_was_there(anonymous: Visitor) -> None:
    anonymous.get("/login")
    with anonymous.client.session_transaction() as session:
        before = session["csrf_token"]
        session["planted"] = "by someone else"
    sign_in(anonymous, ANN)
    anonymous.get(LIST)
    with anonymous.client.session_transaction() as session:
        assert session["csrf_token"] != before
        assert "planted" not in session


def test_session_cookie_from_before_the_sign_in_is_not_signed_in(
    app: Flask, anonymous: Visitor
) -> None:
    anonymous.get("/login")
    planted = cookie(anonymous)
    sign_in(anonymous, ANN)
    assert not is_signed_in(signed_in_visitor(app, planted))


# --- cookies over HTTPS ------------------------------------------------------------------------


@pytest.fixture
def proxied(make_app: MakeApp) -> FlaskClient:
    """A client behind a trusted proxy that uses HTTPS."""
    client = make_app(SECRET_KEY=SECRET_KEY, APIDEVICES_PROXIES="1").test_client()
    client.environ_base["HTTP_X_FORWARDED_PROTO"] = "https"
    return client


def set_cookies(client: FlaskClient, path: str = "/login") -> list[str]:
    return client.get(path).headers.getlist("Set-Cookie")


def test_cookie_over_https_is_secure_and_bound_to_the_host(proxied: FlaskClient) -> None:
    [sent] = set_cookies(proxied)
    assert sent.startswith(f"{HOST_COOKIE}=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(sent.split("; "))
    assert "Domain" not in sent


def test_plain_cookie_is_deleted_and_worthless_over_https(
    proxied: FlaskClient, session_cookie: str
) -> None:
    proxied.set_cookie(COOKIE, session_cookie)
    response = proxied.get(LIST)
    assert response.status_code == 303
    assert any(
        sent.startswith(f"{COOKIE}=;") and "Max-Age=0" in sent
        for sent in response.headers.getlist("Set-Cookie")
    )
    proxied.set_cookie(HOST_COOKIE, session_cookie)
    assert proxied.get(LIST).status_code == 303


def test_forwarded_protocol_is_ignored_without_a_trusted_proxy(client: FlaskClient) -> None:
    client.environ_base["HTTP_X_FORWARDED_PROTO"] = "https"
    [sent] = set_cookies(client)
    assert sent.startswith(f"{COOKIE}=")


def test_secure_cookies_setting_applies_to_http_too(make_app: MakeApp) -> None:
    [sent] = set_cookies(make_app(APIDEVICES_SECURE_COOKIES="true").test_client())
    assert sent.startswith(f"{HOST_COOKIE}=")
    assert "Secure" in sent.split("; ")
