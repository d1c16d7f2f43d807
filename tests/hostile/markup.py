"""The pages that show naughty strings, in Chromium.

Three things would give an injection away: a script that runs or that the Content-Security-Policy
stops, an element that no page with harmless values has, and a stored text that the page doesn't
show as text.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import ConsoleMessage, Dialog, Page, Response, sync_playwright

from apidevices.listing import PAGE_SIZE
from tests.conftest import DEVICES
from tests.hostile.naughty import LIST, TOKENS
from tests.hostile.target import EMAIL, PASSWORD, Target

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")

FIELDS = ("identifier", "name", "application", "os", "manufacturer", "model", "block_reason")

ELEMENTS = """
() => Array.from(document.querySelectorAll('*'), element => [
    element.parentElement ? element.parentElement.localName : '',
    element.localName,
    ...Array.from(element.attributes, attribute => attribute.name).sort(),
].join(' '))
"""
"""Every element as its parent's name, its name and the names of its attributes."""

ROWS = """
() => Array.from(document.querySelectorAll('tr[id^=device-]'), row => Number(row.id.slice(7)))
"""
"""The ids of the devices in the list."""

URLS = """
() => Array.from(document.querySelectorAll('[href], [src], [action], [formaction]'), element =>
    ['href', 'src', 'action', 'formaction'].map(name => element.getAttribute(name)))
    .flat().filter(value => value !== null)
"""

WATCH = """
window.injected = [];
addEventListener('securitypolicyviolation', event => injected.push(
    `policy: ${event.violatedDirective} ${event.sample}`));
for (const name of ['alert', 'confirm', 'prompt'])
    window[name] = text => { injected.push(`${name}: ${text}`); };
"""


def attack(target: Target, device_ids: Sequence[int], pages: int) -> None:
    """Open the list, the tokens and ``pages`` devices, and count what the strings injected."""
    chromium = shutil.which("chromium")
    if chromium is None:
        target.tally.skipped = "Chromium is not installed"
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(base_url=target.server.url)
        page.set_default_timeout(30_000)
        page.add_init_script(WATCH)
        _Watch(target, page)
        _sign_in(page)
        known = _harmless_elements(target, page)
        step = max(1, len(device_ids) // pages)
        for device_id in device_ids[::step]:
            device = target.device(device_id)
            for path in (f"{LIST}/{device_id}", f"{LIST}/{device_id}/history"):
                _check(target, page, path, known)
                _check_texts(target, page, device, path)
        _check(target, page, TOKENS, known)
        listed: set[int] = set()
        for path in _list_pages(page, pages):
            _check(target, page, path, known)
            listed |= set(page.evaluate(ROWS))
        # Those that the attack registered with a naughty string as their identifier.
        others = sorted(listed - set(device_ids))
        for device_id in others[:: max(1, len(others) // pages)]:
            path = f"{LIST}/{device_id}"
            _check(target, page, path, known)
            _check_texts(target, page, target.device(device_id), path)
        browser.close()


class _Watch:
    """Counts the responses that the browser gets, and what the server did not intend.

    Args:
        target: The server.
        page: The page to watch.
    """

    def __init__(self, target: Target, page: Page) -> None:
        self._tally = target.tally
        self._host = urlsplit(target.server.url).netloc
        page.on("dialog", self._dismiss)
        page.on("pageerror", lambda error: self._tally.inject(f"script error: {error}"))
        page.on("response", self._count)
        page.on("console", self._read)
        page.on("popup", lambda popup: self._tally.inject(f"window: {popup.url}"))

    def _dismiss(self, dialog: Dialog) -> None:
        self._tally.inject(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _count(self, response: Response) -> None:
        kind = f"{response.status // 100}xx" if response.status < 500 else "other 5xx"
        self._tally.counts[kind] += 1
        self._tally.require(response.status < 500, f"{response.status} of {response.url}")
        if urlsplit(response.url).netloc != self._host:
            self._tally.inject(f"a request to {response.url}")

    def _read(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._tally.inject(f"console: {message.text}")


def _sign_in(page: Page) -> None:
    page.goto("/login")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{LIST}*")


def _harmless_elements(target: Target, page: Page) -> set[str]:
    """Return the elements of pages with harmless values, in all their states."""
    known: set[str] = set()
    paths = [TOKENS, LIST, f"{LIST}?name=nothing-has-this-name", f"{LIST}?status=blocked"]
    details = {"application": "Box Office", "os": "Android", "model": "T500"}
    with target.wire() as wire:
        for identifier, reported, name, is_blocked in (
            ("harmless-1", {}, "", False),
            ("harmless-2", details, "Tablet", False),
            ("harmless-3", details | {"os_version": "14", "application_version": "2"}, "", True),
            ("harmless-4", details | {"manufacturer": "Samsung"}, "Tablet", True),
            ("h\u0430rmless-5", {}, "Pa\u0443Pa\u0443", False),  # with Cyrillic letters
        ):
            device = target.register(identifier, **reported)
            target.register(identifier, **{**reported, "model": "T510"})  # with a change
            path = f"{DEVICES}/{device['id']}"
            if reported:
                target.add_counts(device["id"])
            if name:
                target.manage(wire, "PATCH", path, {"name": name})
            if is_blocked:
                target.manage(wire, "POST", f"{path}/block", {"reason": "Lost"})
                target.manage(wire, "POST", f"{path}/unblock")
                target.manage(wire, "POST", f"{path}/block", {"reason": "Lost" if name else ""})
            paths += [f"{LIST}/{device['id']}", f"{LIST}/{device['id']}/history"]
            paths += [f"{LIST}?name={identifier}"]
    for number in range(PAGE_SIZE + 1):
        target.register(f"harmless-page-{number}")
    for path in paths:
        page.goto(path)
        known |= set(page.evaluate(ELEMENTS))
    for path in _list_pages(page, 3, "name=harmless-page"):
        page.goto(path)
        known |= set(page.evaluate(ELEMENTS))
    return known


def _check(target: Target, page: Page, path: str, known: Iterable[str]) -> None:
    page.goto(path)
    for element in sorted(set(page.evaluate(ELEMENTS)) - set(known)):
        target.tally.inject(f"<{element}> on {path}")
    for url in page.evaluate(URLS):
        if urlsplit(urljoin(page.url, url))[:2] != urlsplit(page.url)[:2]:
            target.tally.inject(f"the URL {url!r} on {path}")
    for what in page.evaluate("injected"):
        target.tally.inject(f"{what} on {path}")


def _check_texts(target: Target, page: Page, device: dict[str, Any], path: str) -> None:
    """Check that the page of a device shows all values as text."""
    if path.endswith("history"):
        return
    shown = _collapsed(page.evaluate("document.body.textContent"))
    for field in FIELDS:
        text = _collapsed(device[field] or "")
        if text not in shown:
            target.tally.inject(f"{path} does not show the {field} as text: {text!r}")


def _list_pages(page: Page, limit: int, query: str = "") -> Iterator[str]:
    """Yield the paths of the list's pages. The caller must open each before the next."""
    yield f"{LIST}?{query}"
    for _ in range(limit):
        following = page.locator("a[rel=next]")
        if not following.count():
            return
        yield str(following.first.get_attribute("href"))


def _collapsed(text: str) -> str:
    return " ".join(text.split())
