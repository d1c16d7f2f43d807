"""The real server, seen through a real browser."""

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

DESK = 1280
PHONE = 375
HEIGHT = 800

# Far longer than anything takes, even on a machine that has much else to do.
PATIENCE_MS = 10_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI") == "true":
            pytest.fail("There is no Chromium, and these tests must run here.", pytrace=False)
        pytest.skip("There is no Chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


# --- windows -----------------------------------------------------------------------------------


class Watch:
    """Notes what no page may do, whatever is tested: errors in the console, calls elsewhere.

    An answer of 4xx or 5xx is an error in the console, too: a test that brings one about expects
    it here.
    """

    def __init__(self) -> None:
        self.expected: set[int] = set()
        self.may_fail = False  # where a test takes the server away
        self.errors: list[str] = []
        self.hosts: set[str] = set()

    def saw_console(self, said: ConsoleMessage) -> None:
        answer = re.match(r"Failed to load resource: .* status of (\d+)", said.text)
        if answer and int(answer[1]) in self.expected:
            return
        if self.may_fail and ("net::ERR" in said.text or "Failed to fetch" in said.text):
            return
        if said.type == "error":
            self.errors.append(said.text)

    def saw_error(self, failed: WebError) -> None:
        self.errors.append(str(failed.error))

    def saw_request(self, asked: Request) -> None:
        self.hosts.add(urlsplit(asked.url).netloc)


class Windows:
    """Windows that are kept for the next test: opening one takes longer than most tests."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._kept: dict[tuple[str, int, bool], Page] = {}

    def take(self, url: str, width: int, scripts: bool, cookies: Any) -> Page:
        """Return an empty window with these cookies and no others."""
        kind = (url, width, scripts)
        page = self._kept.pop(kind, None) or self._open(*kind)
        page.context.add_cookies(cookies)
        return page

    def give_back(self, url: str, width: int, scripts: bool, page: Page) -> None:
        """Leave a window as it was when it was taken."""
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
        self._kept[url, width, scripts] = page

    def close(self, url: str) -> None:
        """Close the windows on a server that is about to stop."""
        for kind in [kind for kind in self._kept if kind[0] == url]:
            self._kept.pop(kind).context.close()

    def _open(self, url: str, width: int, scripts: bool) -> Page:
        context = self._browser.new_context(
            base_url=url,
            viewport={"width": width, "height": HEIGHT},
            is_mobile=width == PHONE,
            has_touch=width == PHONE,
            java_script_enabled=scripts,
            color_scheme="light",
        )
        context.set_default_timeout(PATIENCE_MS)
        return context.new_page()


@pytest.fixture(scope="session")
def windows(browser: Browser) -> Windows:
    return Windows(browser)


# --- servers -----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _databases(databases: Databases) -> None:
    """Each test here needs one: some ask for their server only while they run."""


@pytest.fixture
def bare_server(
    windows: Windows, databases: Databases, migrated: Variables, tmp_path: Path
) -> Iterator[RealServer]:
    """A server that nobody has ever visited."""
    with _started(databases, migrated, tmp_path / "instance") as server:
        yield server
        windows.close(server.url)


@pytest.fixture(scope="session")
def site(
    windows: Windows,
    databases: Databases,
    migrated: Variables,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """One site for all tests; each uses devices of its own."""
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


# --- visits ------------------------------------------------------------------------------------


@pytest.fixture
def watch() -> Watch:
    return Watch()


class Visit(Protocol):
    """Opens a window on a server, or, signed in already, on the site that is shared."""

    def __call__(
        self,
        server: RealServer | None = None,
        *,
        width: int = DESK,
        scripts: bool = True,
        signed_in: bool = True,
    ) -> Page: ...


@pytest.fixture(scope="session")
def session_cookies(windows: Windows, site: Site) -> Any:
    """The cookies of a session of the account; signing in is slow on purpose."""
    page = windows.take(site.server.url, DESK, True, [])
    sign_in(page)
    cookies = page.context.cookies()
    windows.give_back(site.server.url, DESK, True, page)
    return cookies


def sign_in(page: Page, email: str = ANN, *, here: bool = False) -> None:
    if not here:
        page.goto("/login")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


@pytest.fixture
def visit(windows: Windows, watch: Watch, request: pytest.FixtureRequest) -> Iterator[Visit]:
    taken: list[tuple[str, int, bool, Page]] = []
    listeners = {
        "console": watch.saw_console,
        "weberror": watch.saw_error,
        "request": watch.saw_request,
    }

    def open_window(
        server: RealServer | None = None,
        *,
        width: int = DESK,
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

    yield open_window
    for url, width, scripts, page in taken:
        windows.give_back(url, width, scripts, page)
        for event, listener in listeners.items():
            page.context.remove_listener(event, listener)
    assert watch.errors == []
    assert watch.hosts - {""} <= {urlsplit(url).netloc for url, *_ in taken}, "another host"


KINDS = {
    "desk": (DESK, True),
    "phone": (PHONE, True),
    "desk, no scripts": (DESK, False),
    "phone, no scripts": (PHONE, False),
}
EVERYWHERE = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@pytest.fixture
def scripts(kind: tuple[int, bool]) -> bool:
    """Tell whether the window of this run has scripts."""
    return kind[1]


@pytest.fixture
def page(visit: Visit, kind: tuple[int, bool]) -> Page:
    """A window on the shared site, of one of the kinds that people have."""
    width, scripts = kind
    return visit(width=width, scripts=scripts)


@pytest.fixture
def desk(visit: Visit) -> Page:
    """A wide window on the shared site, with scripts."""
    return visit()
