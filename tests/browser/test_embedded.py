"""The admin pages in a host's layout: neither affects the styles and scripts of the other."""

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from examples.themed_host.app import create_app
from tests.browser.actions import open_rename
from tests.browser.conftest import DESKTOP, HEIGHT, PHONE, TIMEOUT_MS
from tests.browser.site import LIST
from tests.conftest import state_of

pytestmark = [
    pytest.mark.database("sqlite"),
    # Werkzeug's server leaves a static file open if the browser drops the connection.
    pytest.mark.filterwarnings(
        r"ignore:Exception ignored in. <_io\.FileIO name='[^']*/static/:"
        "pytest.PytestUnraisableExceptionWarning"
    ),
]

GREEN = "rgb(11, 122, 75)"  # the accent color of the host in the light scheme
HOST_RED = "rgb(138, 21, 56)"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the example cinema, which has two devices."""
    app = create_app(f"sqlite:///{tmp_path_factory.mktemp('cinema')}/cinema.sqlite3")
    for identifier in ("till-1", "till-2"):
        app.test_client().get("/api/seats", headers={"X-Device-ID": identifier})
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()
    state_of(app).close()


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(browser: Browser, url: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of the cinema. The test fails if its console shows an error."""
    width = request.param
    context = browser.new_context(
        base_url=url, viewport={"width": width, "height": HEIGHT}, color_scheme="light"
    )
    context.set_default_timeout(TIMEOUT_MS)
    context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page = context.new_page()
    errors: list[str] = []
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def style(page: Page, selector: str, name: str) -> str:
    value: str = page.locator(selector).first.evaluate(
        "(element, name) => getComputedStyle(element)[name]", name
    )
    return value


def test_styles_of_the_admin_pages_do_not_affect_the_host_layout(page: Page) -> None:
    page.goto("/")
    selectors = ("body", ".bar", ".brand", "main", "footer .button", "footer p")
    names = ("color", "backgroundColor", "font", "padding", "border", "display", "margin")
    before = [style(page, selector, name) for selector in selectors for name in names]
    page.goto(LIST)
    assert [style(page, selector, name) for selector in selectors for name in names] == before


def test_styles_of_the_host_layout_do_not_affect_the_admin_pages(page: Page) -> None:
    page.goto(LIST)
    scope = ".apidevices"
    assert style(page, f"{scope} h1", "textTransform") == "none"
    assert style(page, f"{scope} .menu > .button", "fontStyle") == "normal"
    assert style(page, f"{scope} table", "borderTopStyle") == "none"
    assert style(page, f"{scope} .menu > .button", "backgroundColor") != HOST_RED
    assert style(page, f"{scope} .icon", "strokeWidth") == "1.4px"


def test_admin_pages_use_the_accent_color_and_font_of_the_host(page: Page) -> None:
    page.goto(LIST)
    assert style(page, ".segments a[aria-current]", "color") == GREEN
    assert "Georgia" in style(page, ".apidevices", "fontFamily")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_admin_pages_follow_the_color_scheme_of_the_host_layout(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(LIST)
    page.evaluate("scheme => document.documentElement.style.colorScheme = scheme", scheme)
    text = style(page, ".apidevices h1", "color")
    assert text == {"light": "rgb(27, 32, 38)", "dark": "rgb(230, 233, 237)"}[scheme]


def test_rename_updates_the_page_in_place(page: Page) -> None:
    page.goto(f"{LIST}/1")
    page.evaluate("window.wasNotReloaded = true")
    open_rename(page.get_by_role("article"))
    page.get_by_label("Name of").fill("Front desk")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#apidevices-status")).to_contain_text("is now named “Front desk”.")
    expect(page.get_by_role("heading", level=1)).to_have_text("Front desk")
    expect(page.get_by_text("Call us")).to_be_visible()
    assert page.evaluate("window.wasNotReloaded")


@pytest.mark.parametrize(
    "script", ["", "window.htmx = {version: '2.0.4'}"], ids=["without host htmx", "with host htmx"]
)
def test_htmx_is_loaded_only_if_the_host_has_not_loaded_it(page: Page, script: str) -> None:
    page.add_init_script(script)
    loaded: list[str] = []
    page.on("request", lambda sent: loaded.append(sent.url) if "htmx" in sent.url else None)
    page.goto(f"{LIST}/2", wait_until="networkidle")
    assert len(loaded) == (0 if script else 1)
    open_rename(page.get_by_role("article"))
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#apidevices-status")).to_contain_text("The name was removed.")
    page.goto(LIST)
    page.locator("#view-button").click()
    choice = page.locator("[name=columns][value=tags]")
    chosen = not choice.is_checked()
    with page.expect_response("**/preferences"):
        choice.set_checked(chosen)
        if script:
            page.get_by_role("button", name="Save", exact=True).click()
    page.goto(LIST)
    expect(choice).to_be_checked(checked=chosen)


def test_admin_pages_do_not_scroll_horizontally(page: Page) -> None:
    for path in (LIST, f"{LIST}/1"):
        page.goto(path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width == page.evaluate("document.documentElement.clientWidth")
