"""What the tests do on pages again and again."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, expect

from harness.real_server import RealServer
from tests.browser.site import ANN, LIST, PASSWORD, Device


@contextmanager
def in_place(page: Page, scripts: bool) -> Iterator[None]:
    """Check that what is done leaves the page where it is, wherever there are scripts."""
    if scripts:
        page.evaluate("window.isStillTheSame = true")
    yield
    if scripts:
        assert page.evaluate("window.isStillTheSame === true"), "the page was loaded anew"


def expect_said(page: Page, text: str) -> None:
    expect(page.get_by_role("status")).to_contain_text(text)


def open_list(page: Page, device: Device) -> Locator:
    """Open the list, short as it then is, and return the row of a device."""
    page.goto(f"{LIST}?name={device.identifier}")
    return page.locator(device.element)


def open_details(page: Page, device: Device) -> Locator:
    """Go from the list to the details of a device."""
    open_list(page, device).get_by_role("link").first.click()
    details = page.locator(f"article{device.element}")
    expect(details).to_be_visible()
    return details


def ask(page: Page, place: Locator, what: str) -> Locator:
    """Push a button that asks a question, and return the question."""
    place.get_by_role("button", name=what).first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"{what} ")
    return dialog


def set_up(page: Page, server: RealServer) -> None:
    """Make the first account by the link that the server printed."""
    page.goto(server.setup_links[0])
    page.get_by_label("E-mail").fill(ANN)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
