"""Error pages: a message and a link, without internal details."""

from urllib.parse import urlsplit

import pytest
from flask import Flask

from apidevices import devices, listing, tokens
from tests.conftest import Register
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"
SECRET = "/home/ann/secret.txt"


def assert_no_internals(page: Page) -> None:
    for internal in (SECRET, "Traceback", "RuntimeError", ".py", "sqlite", "SELECT", "apidevices_"):
        assert internal not in page.html.replace("apidevices_session", "")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the functions behind the device and token pages raise an unexpected error."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError(f"can't read {SECRET}")

    monkeypatch.setattr(listing, "page", fail)
    monkeypatch.setattr(devices, "block", fail)
    monkeypatch.setattr(tokens, "all_tokens", fail)


@pytest.fixture
def without_tables(app: Flask) -> None:
    """A database whose device table is missing."""
    with app.extensions["apidevices"].db.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE apidevices_devices RENAME TO gone")


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("path", ["/nowhere", "/settings/nowhere", "/settings/api-devices/x"])
@pytest.mark.parametrize("visitor", ["admin", "anonymous"])
def test_unknown_path_is_not_found(visitors: dict[str, Visitor], visitor: str, path: str) -> None:
    page = visitors[visitor].get(path)
    assert page.status == 404
    assert page.root.one("h1").text == "Page not found"
    assert page.root.one("main").all("a")[-1]["href"] == LIST
    assert_no_internals(page)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", LIST, "GET"),
        ("POST", LIST, "GET"),
        ("GET", "/logout", "POST"),
    ],
)
def test_wrong_method_gets_405_with_allowed_methods(
    admin: Visitor, method: str, path: str, allowed: str
) -> None:
    response = admin.client.open(path, method=method, buffered=True)
    assert response.status_code == 405
    assert response.mimetype == "text/html"
    assert "<h1>Page not available</h1>" in response.text
    assert allowed in response.headers["Allow"]


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("path", [LIST, "/settings/api-tokens"])
def test_internal_error_page_reveals_no_internals(admin: Visitor, path: str) -> None:
    page = admin.get(path)
    assert page.status == 500
    assert page.is_full_page
    assert "Something went wrong on the server." in page.text
    assert_no_internals(page)


def test_htmx_shows_an_internal_error_in_the_status_line(
    admin: Visitor, register: Register, request: pytest.FixtureRequest
) -> None:
    device = register("phone-1")
    page = admin.get(LIST)
    request.getfixturevalue("broken")
    response = admin.submit(page, f"/{device}/block", htmx=True)
    assert response.status == 500
    assert response.headers["HX-Reswap"] == "none"
    assert "Something went wrong on the server." in response.announced
    assert_no_internals(response)


@pytest.mark.usefixtures("without_tables")
def test_unavailable_database_gets_503_with_retry_after(admin: Visitor) -> None:
    page = admin.get(LIST)
    assert page.status == 503
    assert page.headers["Retry-After"]
    assert page.is_full_page
    assert "Try again" in page.text
    assert_no_internals(page)


@pytest.mark.parametrize("size", [70_000, 2_000_000])
def test_oversized_form_is_rejected(admin: Visitor, size: int) -> None:
    page = admin.post("/settings/api-tokens", name="x" * size)
    assert page.status == 413
    assert page.is_full_page
    assert_no_internals(page)


def test_errors_are_problem_json_under_the_api_and_pages_elsewhere(anonymous: Visitor) -> None:
    assert anonymous.get("/api/v1/nowhere").headers["Content-Type"] == "application/problem+json"
    assert anonymous.get("/apis").headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/", "/settings/"])
def test_short_paths_redirect_to_the_list(admin: Visitor, path: str) -> None:
    response = admin.get(path)
    assert response.status == 302
    assert urlsplit(response.location).path == LIST
