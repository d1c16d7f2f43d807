"""Error pages: what happened and where to go, and nothing of the inside."""

from urllib.parse import urlsplit

import pytest
from flask import Flask

from apidevices import devices, listing, tokens
from tests.conftest import Register
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"
SECRET = "/home/ann/secret.txt"


def assert_tells_nothing(page: Page) -> None:
    for inside in (SECRET, "Traceback", "RuntimeError", ".py", "sqlite", "SELECT", "apidevices_"):
        assert inside not in page.html.replace("apidevices_session", "")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the program, in whatever shows or changes devices and tokens."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError(f"can't read {SECRET}")

    monkeypatch.setattr(listing, "page", fail)
    monkeypatch.setattr(devices, "block", fail)
    monkeypatch.setattr(tokens, "all_tokens", fail)


@pytest.fixture
def without_tables(app: Flask) -> None:
    """A database that can't be asked."""
    with app.extensions["apidevices"].db.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE apidevices_devices RENAME TO gone")


@pytest.mark.parametrize("path", ["/nowhere", "/settings/nowhere", "/settings/api-devices/x"])
@pytest.mark.parametrize("who", ["admin", "stranger"])
def test_an_unknown_address_is_not_found(visitors: dict[str, Visitor], who: str, path: str) -> None:
    page = visitors[who].get(path)
    assert page.status == 404
    assert page.root.one("h1").text == "Not Found"
    assert page.root.one("main").all("a")[-1]["href"] == LIST
    assert_tells_nothing(page)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", LIST, "GET"),
        ("POST", LIST, "GET"),
        ("GET", "/settings/api-tokens/1/revoke", "POST"),
        ("GET", "/logout", "POST"),
    ],
)
def test_a_method_that_an_address_lacks_is_told(
    admin: Visitor, method: str, path: str, allowed: str
) -> None:
    response = admin.client.open(path, method=method, buffered=True)
    assert response.status_code == 405
    assert response.mimetype == "text/html"
    assert allowed in response.headers["Allow"]


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("path", [LIST, "/settings/api-tokens"])
def test_a_mistake_of_ours_tells_nothing_of_the_inside(admin: Visitor, path: str) -> None:
    page = admin.get(path)
    assert page.status == 500
    assert page.is_whole
    assert "Something went wrong on the server." in page.text
    assert_tells_nothing(page)


def test_htmx_is_told_about_a_mistake_of_ours_in_the_status_line(
    admin: Visitor, register: Register, request: pytest.FixtureRequest
) -> None:
    device = register("phone-1")
    page = admin.get(LIST)
    request.getfixturevalue("broken")
    answer = admin.submit(page, f"/{device}/block", htmx=True)
    assert answer.status == 500
    assert answer.headers["HX-Reswap"] == "none"
    assert "Something went wrong on the server." in answer.announced
    assert_tells_nothing(answer)


@pytest.mark.usefixtures("without_tables")
def test_a_database_that_is_away_is_told_to_come_back(admin: Visitor) -> None:
    page = admin.get(LIST)
    assert page.status == 503
    assert page.headers["Retry-After"]
    assert page.is_whole
    assert "Try again" in page.text
    assert_tells_nothing(page)


def test_a_form_that_is_too_large_is_refused(admin: Visitor) -> None:
    page = admin.post("/settings/api-tokens", name="x" * 2 * 1024 * 1024)
    assert page.status == 413
    assert page.is_whole
    assert_tells_nothing(page)


def test_an_error_is_a_problem_below_the_api_and_a_page_elsewhere(stranger: Visitor) -> None:
    assert stranger.get("/api/v1/nowhere").headers["Content-Type"] == "application/problem+json"
    assert stranger.get("/apis").headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/", "/settings/"])
def test_the_short_addresses_lead_to_the_list(admin: Visitor, path: str) -> None:
    answer = admin.get(path)
    assert answer.status == 302
    assert urlsplit(answer.location).path == LIST
