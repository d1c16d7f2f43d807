"""Page actions that several browser tests share."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, expect

from harness.real_server import RealServer
from tests.browser.site import ANN, LIST, PASSWORD, TOKENS, Device


@contextmanager
def without_page_load(page: Page, scripts: bool = True) -> Iterator[None]:
    """Check that actions in the block update the page in place, if scripts are on."""
    if scripts:
        page.evaluate("window.wasNotReloaded = true")
    yield
    if scripts:
        assert page.evaluate("window.wasNotReloaded === true"), "the page was reloaded"


def expect_status(page: Page, text: str) -> None:
    expect(page.locator("#apidevices-status")).to_contain_text(text)


def open_list(page: Page, device: Device) -> Locator:
    """Open the list, filtered to one device, and return its row."""
    page.goto(f"{LIST}?name={device.identifier}")
    return page.locator(device.element)


def open_details(page: Page, device: Device) -> Locator:
    """Follow the link from the list to the page of a device."""
    open_list(page, device).get_by_role("link").first.click()
    details = page.locator(f"article{device.element}")
    expect(details).to_be_visible()
    return details


def open_menu(row: Locator) -> None:
    """Open the menu of a row in the list, if this is one and its menu is closed."""
    menu = row.locator("details.menu:not([open]) > summary")
    if row.evaluate("element => element.matches('tr')") and menu.count():
        menu.click()


def open_dialog(page: Page, container: Locator, action: str, *, scripts: bool = True) -> Locator:
    """Follow a link to a form, and return its dialog, or the page of the form without scripts."""
    open_menu(container)
    container.get_by_role("link", name=action).first.click()
    dialog = page.get_by_role("dialog" if scripts else "main")
    expect(dialog).to_contain_text(f"{action} ")
    return dialog


def each_form(page: Page, container: Locator) -> Iterator[str]:
    """Open each form that links lead to, one after another, and yield its path."""
    links = container.locator("a:is([data-dialog], [data-inline])")
    for number in range(links.count()):
        link = links.nth(number)
        link.evaluate("link => link.closest('details')?.setAttribute('open', '')")
        link.click()
        form = page.locator("form:has(:focus)")
        expect(form).to_be_visible()
        yield link.get_attribute("href") or ""
        page.keyboard.press("Escape")
        expect(form).to_be_hidden()


def create_token(page: Page, name: str, *, scripts: bool = True) -> str:
    """Create a token on the tokens page, and return its text."""
    form = open_token_form(page, scripts=scripts)
    form.get_by_role("textbox", name="Name").fill(name)
    form.get_by_role("button", name="Create token").click()
    return page.get_by_label("API token", exact=True).inner_text()


def open_token_form(page: Page, *, scripts: bool = True) -> Locator:
    """Open the tokens page, follow its link to the form, and return the dialog or the page."""
    page.goto(TOKENS)
    return open_dialog(page, page.get_by_role("main"), "Create", scripts=scripts)


def open_rename(container: Locator) -> None:
    """Open the form that renames a device, in the list or on the device's page."""
    open_menu(container)
    container.get_by_role("link", name="Rename").click()


def set_up(page: Page, server: RealServer) -> None:
    """Create the first account through the setup link that the server printed."""
    page.goto(server.setup_links[0])
    page.get_by_label("Email").fill(ANN)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Confirm password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
