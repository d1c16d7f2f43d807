"""How pages and their files are delivered: kept apart, kept safe, kept small."""

import gzip
import re

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.conftest import MakeApp, Register
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"
YEAR = 365 * 24 * 3600

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}

# Every kind of HTML answer: who asks, what for, and what comes back.
ANSWERS = [
    ("admin", LIST, 200),
    ("admin", f"{LIST}/1", 200),
    ("admin", f"{LIST}/1/history", 200),
    ("admin", "/settings/api-tokens", 200),
    ("admin", "/settings/account", 200),
    ("admin", f"{LIST}/999", 404),
    ("admin", "/logout", 405),
    ("admin", "/nowhere", 404),
    ("admin", "/", 302),
    ("stranger", "/login", 200),
    ("stranger", "/setup/x", 404),
    ("stranger", "/nowhere", 404),
    ("stranger", LIST, 303),
]


@pytest.fixture
def answer(
    request: pytest.FixtureRequest, visitors: dict[str, Visitor], register: Register
) -> Page:
    who, path, status = request.param
    register("phone-1")
    page = visitors[who].get(path)
    assert page.status == status
    return page


def policy(page: Page) -> dict[str, str]:
    parts = (
        part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";")
    )
    return {name: rest for name, rest in parts}


@pytest.mark.parametrize("answer", ANSWERS, indirect=True, ids=str)
def test_every_page_is_kept_to_itself(answer: Page) -> None:
    assert policy(answer) == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "HX-Request" in answer.headers["Vary"]


def test_the_page_of_a_mistake_is_kept_to_itself(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apidevices.listing.page", None)
    page = admin.get(LIST)
    assert page.status == 500
    assert policy(page) == POLICY
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("who", "path"), [("admin", LIST), ("stranger", "/login")])
def test_everything_a_page_loads_comes_from_here(
    visitors: dict[str, Visitor], who: str, path: str
) -> None:
    for address in loaded(visitors[who].get(path)):
        assert re.match(r"/(?!/)", address), address


def loaded(page: Page) -> list[str]:
    """Return the addresses of what a browser loads with a page."""
    scripts = [script["src"] for script in page.root.all("script")]
    links = [link["href"] for link in page.root.all("link")]
    assert len(scripts) == 2
    assert {link["rel"] for link in page.root.all("link")} == {"icon", "stylesheet"}
    return scripts + links


def fetch(app: Flask, address: str) -> TestResponse:
    return app.test_client().get(address, headers={"Accept-Encoding": "gzip"}, buffered=True)


def test_files_are_kept_for_a_year_and_come_compressed(app: Flask, admin: Visitor) -> None:
    for address in loaded(admin.get(LIST)):
        response = fetch(app, address)
        assert response.status_code == 200
        assert response.cache_control.max_age == YEAR
        if len(response.data) > 500:
            assert response.headers["Content-Encoding"] == "gzip"
            assert "Accept-Encoding" in response.vary


def test_a_file_by_an_address_without_its_content_is_asked_for_again(
    app: Flask, admin: Visitor
) -> None:
    for address in loaded(admin.get(LIST)):
        response = fetch(app, address.partition("?")[0])
        assert response.cache_control.max_age is None
        assert response.headers["ETag"]


def test_a_file_that_has_not_changed_is_not_sent_again(app: Flask, admin: Visitor) -> None:
    for address in loaded(admin.get(LIST)):
        known = {"If-None-Match": fetch(app, address).headers["ETag"], "Accept-Encoding": "gzip"}
        assert app.test_client().get(address, headers=known, buffered=True).status_code == 304


def test_the_address_of_a_file_changes_with_its_content(app: Flask, admin: Visitor) -> None:
    versions = [address.partition("?v=")[2] for address in loaded(admin.get(LIST))]
    assert all(re.fullmatch(r"[0-9a-f]{8,}", version) for version in versions)
    assert len(set(versions)) == len(versions)


@pytest.mark.parametrize("path", ["../app.py", "..%2f..%2fapp.py", "/etc/passwd", "nothing.css"])
def test_no_other_file_can_be_had(stranger: Visitor, path: str) -> None:
    assert stranger.get(f"{LIST}/static/{path}").status in (308, 404)


def test_pages_come_compressed(admin: Visitor) -> None:
    response = admin.client.get(LIST, headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert b"API Devices" in gzip.decompress(response.data)


def test_the_first_visit_takes_less_than_60_kilobytes(
    app: Flask, admin: Visitor, register: Register
) -> None:
    for number in range(51):
        register(
            f"5F1E7A{number:02}-4C0A-4B2E-9B1D-0A1B2C3D4E{number:02}",
            application="Box Office",
            application_version=f"2.{number}",
            manufacturer="Samsung",
            model=f"Galaxy S{number}",
        )
    page = admin.get(LIST)
    assert len(page.root.one("tbody").all("tr")) == 50
    html = admin.client.get(LIST, headers={"Accept-Encoding": "gzip"}).data
    files = [fetch(app, address).data for address in loaded(page)]
    assert sum(map(len, [html, *files])) < 60_000


def test_a_page_needs_no_script_to_be_read(admin: Visitor, register: Register) -> None:
    register("phone-1")
    for script in admin.get(LIST).root.all("script"):
        assert "defer" in script.attributes


def test_cookies_go_over_https_alone_where_the_settings_say_so(make_app: MakeApp) -> None:
    client = make_app(APIDEVICES_SECURE_COOKIES="true").test_client()
    assert "Secure" in client.get("/login", base_url="https://localhost").headers["Set-Cookie"]
