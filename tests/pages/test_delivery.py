"""Delivery of pages and static files: security headers, caching, compression."""

import gzip
import re

import brotli
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.conftest import Register
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"
TOKENS = "/settings/api-tokens"
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

# Every kind of HTML response: (visitor, path, status).
RESPONSES = [
    ("admin", LIST, 200),
    ("admin", f"{LIST}/1", 200),
    ("admin", f"{LIST}/1/history", 200),
    ("admin", TOKENS, 200),
    ("admin", "/settings/account", 200),
    ("admin", f"{LIST}/999", 404),
    ("admin", "/logout", 405),
    ("admin", "/nowhere", 404),
    ("admin", "/", 302),
    ("anonymous", "/login", 200),
    ("anonymous", "/setup/x", 404),
    ("anonymous", "/nowhere", 404),
    ("anonymous", LIST, 303),
]


@pytest.fixture
def response(
    request: pytest.FixtureRequest, visitors: dict[str, Visitor], register: Register
) -> Page:
    visitor, path, status = request.param
    register("phone-1")
    page = visitors[visitor].get(path)
    assert page.status == status
    return page


def policy(page: Page) -> dict[str, str]:
    parts = (
        part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";")
    )
    return {directive: sources for directive, sources in parts}


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("response", RESPONSES, indirect=True, ids=str)
def test_every_page_has_security_headers(response: Page) -> None:
    assert policy(response) == POLICY
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["Cache-Control"] == "no-store"
    assert "HX-Request" in response.headers["Vary"]


def test_page_of_an_internal_error_has_security_headers(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apidevices.listing.page", None)
    page = admin.get(LIST)
    assert page.status == 500
    assert policy(page) == POLICY
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("visitor", "path"), [("admin", LIST), ("anonymous", "/login")])
def test_pages_load_nothing_from_other_origins(
    visitors: dict[str, Visitor], visitor: str, path: str
) -> None:
    for url in loaded(visitors[visitor].get(path)):
        assert re.match(r"/(?!/)", url), url


def loaded(page: Page) -> list[str]:
    """Return the URLs of the scripts, styles and icons that a page loads."""
    assert len(scripts(page)) >= 2
    assert {link["rel"] for link in page.root.all("link")} == {"icon", "stylesheet"}
    return scripts(page) + links(page)


def scripts(page: Page) -> list[str]:
    return [script["src"] for script in page.root.all("script")]


def links(page: Page) -> list[str]:
    return [link["href"] for link in page.root.all("link")]


def fetch(app: Flask, url: str) -> TestResponse:
    return app.test_client().get(url, headers={"Accept-Encoding": "gzip"}, buffered=True)


def test_static_files_are_cached_for_a_year_and_compressed(app: Flask, admin: Visitor) -> None:
    for url in loaded(admin.get(LIST)):
        response = fetch(app, url)
        assert response.status_code == 200
        assert response.cache_control.max_age == YEAR
        if len(response.data) > 500:
            assert response.headers["Content-Encoding"] == "gzip"
            assert "Accept-Encoding" in response.vary


def test_static_files_are_the_same_for_all_visitors(admin: Visitor) -> None:
    for url in loaded(admin.get(LIST)):
        response = admin.client.get(url, buffered=True)
        assert response.cache_control.immutable
        assert "Cookie" not in response.vary
        assert "Set-Cookie" not in response.headers


def test_static_files_are_as_small_as_possible_for_browsers(app: Flask, admin: Visitor) -> None:
    for url in loaded(admin.get(LIST)):
        accepted = {"Accept-Encoding": "gzip, deflate, br, zstd"}
        response = app.test_client().get(url, headers=accepted, buffered=True)
        assert response.content_encoding == "br"
        assert len(response.data) < len(fetch(app, url).data)
        plain = app.test_client().get(url, buffered=True)
        assert brotli.decompress(response.data) == plain.data
        known = accepted | {"If-None-Match": response.headers["ETag"]}
        assert app.test_client().get(url, headers=known, buffered=True).status_code == 304


def test_static_files_of_another_version_are_revalidated(app: Flask, admin: Visitor) -> None:
    for url in loaded(admin.get(LIST)):
        response = fetch(app, f"{url}0")
        assert response.cache_control.max_age is None
        assert not response.cache_control.immutable


def test_static_files_without_a_version_are_revalidated(app: Flask, admin: Visitor) -> None:
    for url in loaded(admin.get(LIST)):
        response = fetch(app, url.partition("?")[0])
        assert response.cache_control.max_age is None
        assert response.headers["ETag"]


def test_unchanged_static_files_return_304(app: Flask, admin: Visitor) -> None:
    for url in loaded(admin.get(LIST)):
        known = {"If-None-Match": fetch(app, url).headers["ETag"], "Accept-Encoding": "gzip"}
        assert app.test_client().get(url, headers=known, buffered=True).status_code == 304


def test_urls_of_static_files_contain_a_hash_of_their_content(app: Flask, admin: Visitor) -> None:
    versions = [url.partition("?v=")[2] for url in loaded(admin.get(LIST))]
    assert all(re.fullmatch(r"[0-9a-f]{8,}", version) for version in versions)
    assert len(set(versions)) == len(versions)


@pytest.mark.parametrize("path", ["../app.py", "..%2f..%2fapp.py", "/etc/passwd", "nothing.css"])
def test_files_outside_the_static_folder_are_not_found(anonymous: Visitor, path: str) -> None:
    assert anonymous.get(f"{LIST}/static/{path}").status in (308, 404)


def test_pages_are_compressed(admin: Visitor) -> None:
    response = admin.client.get(LIST, headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert b"API Devices" in gzip.decompress(response.data)


@pytest.fixture
def busy_site(admin: Visitor, register: Register) -> None:
    """Full pages of devices, history and tokens. The first device has changed 51 times."""
    for number in range(51):
        identifier = f"5F1E7A{number:02}-4C0A-4B2E-9B1D-0A1B2C3D4E{number:02}"
        register("phone-1", application="Box Office", application_version=f"2.{number}")
        register(identifier, manufacturer="Samsung", model=f"Galaxy S{number}")
        if number < 20:
            admin.change(f"{TOKENS}/new", TOKENS, name=f"Token {number}")


@pytest.mark.database("sqlite")
@pytest.mark.usefixtures("busy_site")
def test_first_visit_of_each_page_transfers_less_than_60_kilobytes(
    app: Flask, admin: Visitor, anonymous: Visitor
) -> None:
    assert len(admin.get(LIST).root.one("tbody").all("tr")) == 50
    paths = (LIST, f"{LIST}/1", f"{LIST}/1/history", TOKENS, "/settings/account", "/api/docs")
    for visitor, path in [*((admin, path) for path in paths), (anonymous, "/login")]:
        page = visitor.get(path)
        # Over HTTP, browsers accept nothing better than gzip.
        html = visitor.client.get(path, headers={"Accept-Encoding": "gzip"}).data
        files = [fetch(app, url).data for url in (*scripts(page), *links(page))]
        assert sum(map(len, [html, *files])) < 60_000, path


def test_scripts_are_deferred(admin: Visitor, register: Register) -> None:
    register("phone-1")
    for script in admin.get(LIST).root.all("script"):
        assert "defer" in script.attributes
