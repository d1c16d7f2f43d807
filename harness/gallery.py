"""Screenshots of every page and state, in six widths and both color schemes, to look at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, Page, StorageState

WIDTHS = (320, 390, 768, 1024, 1440, 1920)
HEIGHT = 900
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

LIST = "/settings/api-devices"
TOKENS = "/settings/api-tokens"
OVERVIEW = f"{LIST}/overview"
SUGGESTIONS = f"{LIST}/suggestions"
STORAGE = f"{LIST}/storage"
LOG = "/settings/audit-log"

Prepare = Callable[[Page], object]


@dataclass(frozen=True)
class State:
    """A page in a state.

    Args:
        name: The first part of the names of its files.
        path: The path of the page.
        prepare: What to do on the page before the screenshots.
        signed_in: Whether the visitor is signed in.
    """

    name: str
    path: str
    prepare: Prepare | None = None
    signed_in: bool = True


def _click(selector: str, number: int = 0) -> Prepare:
    return lambda page: page.locator(selector).nth(number).click()


def _submit(selector: str = "main form", **values: str) -> Prepare:
    """Fill in fields by their names, and send the form."""

    def submit(page: Page) -> None:
        form = page.locator(selector).last
        form.evaluate("form => form.noValidate = true")
        for name, value in values.items():
            form.locator(f"[name={name}]").fill(value)
        with page.expect_response(lambda response: response.request.method == "POST"):
            form.locator("[type=submit]").last.click()

    return submit


def _select_rows(page: Page) -> None:
    for number in range(3):
        page.locator("tbody [type=checkbox]").nth(number).check()


def _states(page: Page) -> Iterator[State]:
    """Yield all states. Looks up the devices and dialogs of the site with a page."""
    yield State("sign-in", "/login", signed_in=False)
    yield State("sign-in-error", "/login", _submit(email="x@example.com", password="x"), False)
    yield State("reference", "/api/docs", signed_in=False)
    yield State("not-found", "/nowhere")
    yield State("account", "/settings/account")
    yield State("account-error", "/settings/account", _submit(password="x"))

    yield State("list", LIST)
    yield State("list-filtered", f"{LIST}?status=active&application=Box+Office&name=a")
    yield State("list-blocked", f"{LIST}?status=blocked")
    yield State("list-no-match", f"{LIST}?name=nothing")
    page.goto(LIST)
    if page.locator("tbody [type=checkbox]").count():
        yield State("list-selected", LIST, _select_rows)
    menus = page.locator("main summary:visible")
    for number in range(min(menus.count(), 8)):
        yield State(f"list-menu-{number}", LIST, _click("main summary:visible", number))

    for status in ("active", "blocked"):
        page.goto(f"{LIST}?status={status}")
        device = page.locator("tbody tr a").first.get_attribute("href") or ""
        yield State(f"device-{status}", device)
        yield State(f"history-{status}", f"{device.partition('?')[0]}/history")
        page.goto(device)
        links = page.locator("article a:is([data-dialog], [data-inline])")
        for number in range(links.count()):
            href = links.nth(number).get_attribute("href") or ""
            form = href.partition("?")[0].rpartition("/")[2]
            opened = f'article a:is([data-dialog], [data-inline])[href="{href}"]'
            yield State(f"device-{status}-{form}", device, _show_and_click(opened))
            yield State(f"device-{status}-{form}-page", href)

    yield State("merge-search", f"{LIST}/1/merge?q=e")
    yield State("merge", f"{LIST}/1/merge?from=2")

    for action in ("block", "unblock", "tag", "untag", "delete"):
        yield State(f"bulk-{action}", f"{LIST}/bulk?action={action}&id=1&id=2&id=3")
    tagging = f"{LIST}/bulk?action=tag&id=1&id=2"
    yield State("list-undo", tagging, _submit("form:has([name=tag])", tag="Main entrance"))
    yield State("operation", f"{LIST}/operations/1")

    yield State("audit-log", LOG)
    yield State("audit-log-filtered", f"{LOG}?action=device.blocked&from=2026-01-01")
    yield State("audit-log-no-match", f"{LOG}?actor=nobody")
    yield State("audit-log-filters", LOG, _click("#filter-log"))
    yield State("audit-log-filters-page", f"{LOG}/filters")

    yield State("overview", OVERVIEW)
    yield State("overview-90-days", f"{OVERVIEW}?days=90")
    yield State("suggestions", SUGGESTIONS)
    yield State("storage", STORAGE)

    yield State("tokens", TOKENS)
    yield State("token-form", TOKENS, _click("a[data-dialog]"))
    yield State("token-revoke", TOKENS, _click("tbody a[data-dialog]"))
    yield State("token-new", f"{TOKENS}/new", _submit("form:has([name=scopes])", name="Turnstiles"))


def _show_and_click(selector: str) -> Prepare:
    """Click a link, which may be in a closed menu."""

    def click(page: Page) -> None:
        link = page.locator(selector).first
        link.evaluate("link => link.closest('details')?.setAttribute('open', '')")
        link.click()

    return click


def take(
    browser: Browser, url: str, cookies: StorageState, now: datetime, folder: Path, only: str
) -> None:
    """Take the screenshots of a site with devices.

    Args:
        browser: The browser.
        url: The URL of the site.
        cookies: The cookies of a signed-in visitor.
        now: The time that the pages show.
        folder: Where to put the files.
        only: Only states whose names contain this text.
    """
    signed_in = browser.new_context(base_url=url, storage_state=cookies)
    stranger = browser.new_context(base_url=url)
    for state in _states(signed_in.new_page()):
        if only in state.name:
            _take(signed_in if state.signed_in else stranger, state, now, folder)


def take_first_visit(
    browser: Browser, url: str, setup_path: str, now: datetime, folder: Path, only: str
) -> None:
    """Take the screenshots of a site that has no account yet, and create one."""
    context = browser.new_context(base_url=url)
    password = "correct horse battery"
    account = {"email": "ann@example.com", "password": password, "password_again": password}
    for state in (
        State("no-account", "/login"),
        State("setup", setup_path),
        State("empty-list", setup_path, _submit(**account)),
        State("empty-tokens", TOKENS),
    ):
        _take(context, state, now, folder if only in state.name else None)


def take_embedded(browser: Browser, url: str, folder: Path, only: str) -> None:
    """Take the screenshots of the pages in the layout of a host application."""
    context = browser.new_context(base_url=url)
    for state in (
        State("embedded-list", LIST),
        State("embedded-device", f"{LIST}/1"),
        State("embedded-audit-log", LOG),
        State("embedded-overview", OVERVIEW),
        State("embedded-storage", STORAGE),
    ):
        if only in state.name:
            _take(context, state, datetime.now(UTC), folder)


def _take(context: BrowserContext, state: State, now: datetime, folder: Path | None) -> None:
    page = context.new_page()
    page.clock.set_fixed_time(now)
    page.goto(state.path)
    if state.prepare:
        state.prepare(page)
    page.wait_for_load_state("networkidle")
    if folder:
        for width, scheme in product(WIDTHS, SCHEMES):
            page.set_viewport_size({"width": width, "height": HEIGHT})
            page.emulate_media(color_scheme=scheme)
            is_modal = page.locator("dialog[open]").count()
            path = folder / f"{state.name}-{width}-{scheme}.png"
            page.screenshot(path=path, full_page=not is_modal)
        print(state.name, flush=True)
    page.close()
