"""Fixtures for the browser tests: the real server, in Chromium."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    WebError,
    expect,
    sync_playwright,
)

from harness.databases import Databases, Variables
from harness.real_server import RealServer
from tests.browser.site import ANN, PASSWORD, Site

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

DESKTOP = 1280
PHONE = 375
HEIGHT = 800

# Generous, for slow and busy machines.
TIMEOUT_MS = 10_000
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        if "CI" in os.environ:
            pytest.fail("Chromium is not installed. CI must run these tests.", pytrace=False)
        pytest.skip("Chromium is not installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


# --- windows -----------------------------------------------------------------------------------


class Monitor:
    """Records console errors and requested hosts, so that tests fail on unexpected ones.

    Chromium logs each 4xx and 5xx response as a console error. Tests that cause one add it to
    ``expected_statuses``.
    """

    def __init__(self) -> None:
        self.expected_statuses: set[int] = set()
        self.network_may_fail = False  # for tests that cut the connection
        self.errors: list[str] = []
        self.hosts: set[str] = set()

    def on_console(self, message: ConsoleMessage) -> None:
        failed = re.match(r"Failed to load resource: .* status of (\d+)", message.text)
        if failed and int(failed[1]) in self.expected_statuses:
            return
        network_errors = ("net::ERR", "Failed to fetch")
        if self.network_may_fail and any(error in message.text for error in network_errors):
            return
        if message.type == "error":
            self.errors.append(message.text)

    def on_error(self, error: WebError) -> None:
        self.errors.append(str(error.error))

    def on_request(self, request: Request) -> None:
        self.hosts.add(urlsplit(request.url).netloc)


class WindowPool:
    """Browser windows that tests reuse: opening one takes longer than most tests."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._idle: dict[tuple[str, int, bool], Page] = {}

    def take(self, url: str, width: int, scripts: bool, cookies: Any) -> Page:
        """Return a blank window with exactly these cookies."""
        kind = (url, width, scripts)
        page = self._idle.pop(kind, None) or self._open(*kind)
        page.context.add_cookies(cookies)
        return page

    def give_back(self, url: str, width: int, scripts: bool, page: Page) -> None:
        """Reset a window and return it to the pool."""
        context = page.context
        for other in context.pages:
            if other != page:
                other.close()
        context.set_offline(False)
        context.clear_cookies()
        context.clear_permissions()
        page.goto("about:blank")
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.emulate_media(color_scheme="light")
        self._idle[url, width, scripts] = page

    def close(self, url: str) -> None:
        """Close the idle windows of a server that is about to stop."""
        for kind in [kind for kind in self._idle if kind[0] == url]:
            self._idle.pop(kind).context.close()

    def _open(self, url: str, width: int, scripts: bool) -> Page:
        context = self._browser.new_context(
            base_url=url,
            viewport={"width": width, "height": HEIGHT},
            is_mobile=width == PHONE,
            has_touch=width == PHONE,
            java_script_enabled=scripts,
            color_scheme="light",
        )
        context.set_default_timeout(TIMEOUT_MS)
        return context.new_page()


@pytest.fixture(scope="session")
def windows(browser: Browser) -> WindowPool:
    return WindowPool(browser)


# --- servers -----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _databases(databases: Databases) -> None:
    """Parametrize each test by database, because some request their server only at run time."""


@pytest.fixture
def bare_server(
    windows: WindowPool, databases: Databases, migrated: Variables, tmp_path: Path
) -> Iterator[RealServer]:
    """A server without any account or device."""
    with _started(databases, migrated, tmp_path / "instance") as server:
        yield server
        windows.close(server.url)


@pytest.fixture(scope="session")
def site(
    windows: WindowPool,
    databases: Databases,
    migrated: Variables,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """One site for all tests. Each test registers its own devices."""
    folder = tmp_path_factory.mktemp("site") / "instance"
    with _started(databases, migrated, folder) as server:
        yield Site(server)
        windows.close(server.url)


@contextmanager
def _started(databases: Databases, migrated: Variables, instance: Path) -> Iterator[RealServer]:
    database = databases.copy(migrated, instance)
    with RealServer(instance, variables=database) as server:
        yield server
    databases.drop(database)


# --- pages -------------------------------------------------------------------------------------


@pytest.fixture
def monitor() -> Monitor:
    return Monitor()


class OpenPage(Protocol):
    """Opens a blank page on a server, by default on the shared site and signed in."""

    def __call__(
        self,
        server: RealServer | None = None,
        *,
        width: int = DESKTOP,
        scripts: bool = True,
        signed_in: bool = True,
    ) -> Page: ...


@pytest.fixture(scope="session")
def session_cookies(windows: WindowPool, site: Site) -> Any:
    """The cookies of a signed-in session, shared because password hashing is slow on purpose."""
    page = windows.take(site.server.url, DESKTOP, True, [])
    sign_in(page)
    cookies = page.context.cookies()
    windows.give_back(site.server.url, DESKTOP, True, page)
    return cookies


def sign_in(page: Page, email: str = ANN, *, path: str | None = "/login") -> None:
    """Open the login page, unless ``path`` is None, and sign in."""
    if path:
        page.goto(path)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


@pytest.fixture
def open_page(
    windows: WindowPool, monitor: Monitor, request: pytest.FixtureRequest
) -> Iterator[OpenPage]:
    taken: list[tuple[str, int, bool, Page]] = []
    listeners = {
        "console": monitor.on_console,
        "weberror": monitor.on_error,
        "request": monitor.on_request,
    }

    def open_page(
        server: RealServer | None = None,
        *,
        width: int = DESKTOP,
        scripts: bool = True,
        signed_in: bool = True,
    ) -> Page:
        cookies: Any = []
        if server is None:
            server = request.getfixturevalue("site").server
            cookies = request.getfixturevalue("session_cookies") if signed_in else []
        page = windows.take(server.url, width, scripts, cookies)
        for event, listener in listeners.items():
            page.context.on(event, listener)  # type: ignore[call-overload]  # typed by literal names
        taken.append((server.url, width, scripts, page))
        return page

    yield open_page
    for url, width, scripts, page in taken:
        windows.give_back(url, width, scripts, page)
        for event, listener in listeners.items():
            page.context.remove_listener(event, listener)
    assert monitor.errors == []
    assert monitor.hosts - {""} <= {urlsplit(url).netloc for url, *_ in taken}, (
        "a page called another host"
    )


KINDS = {
    "desktop": (DESKTOP, True),
    "phone": (PHONE, True),
    "desktop, no scripts": (DESKTOP, False),
    "phone, no scripts": (PHONE, False),
}
IN_EVERY_WINDOW = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@pytest.fixture
def scripts(kind: tuple[int, bool]) -> bool:
    """Whether JavaScript is enabled in the window that the test is parametrized with."""
    return kind[1]


@pytest.fixture
def page(open_page: OpenPage, kind: tuple[int, bool]) -> Page:
    """A page on the shared site, in the window that the test is parametrized with."""
    width, scripts = kind
    return open_page(width=width, scripts=scripts)


@pytest.fixture
def desktop(open_page: OpenPage) -> Page:
    """A page on the shared site, in a wide window with JavaScript."""
    return open_page()
