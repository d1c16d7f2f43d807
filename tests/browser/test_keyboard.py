"""Keyboard operation: every action works without a mouse, and the focus stays in place."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.actions import expect_status, open_dialog, without_page_load
from tests.browser.conftest import OpenPage
from tests.browser.site import BOB, LIST, PASSWORD, TOKENS, Site

# The pages behave the same with every database.
pytestmark = pytest.mark.database("sqlite")


def tab_to(page: Page, element: Locator) -> None:
    """Press Tab until the element has focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if element.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not reach {element}")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_keyboard_can_block_a_device_and_cancel_unblocking(
    site: Site, open_page: OpenPage, scripts: bool
) -> None:
    page = open_page(scripts=scripts)
    device = site.device()
    page.goto(f"{LIST}?name={device.identifier}")
    row = page.locator(device.element)
    menu = row.locator("summary")
    tab_to(page, menu)
    page.keyboard.press("Enter")
    tab_to(page, row.get_by_role("link", name="Block"))
    with without_page_load(page, scripts):
        page.keyboard.press("Enter")
        expect(page.get_by_label("Reason")).to_be_focused()
        page.keyboard.type("Lost on the train")
        page.keyboard.press("Enter")
        expect_status(page, "is blocked.")
    assert site.state(device)["block_reason"] == "Lost on the train"

    if scripts:
        expect(menu).to_be_focused()
    else:
        tab_to(page, menu)
    page.keyboard.press("Enter")
    tab_to(page, row.get_by_role("link", name="Unblock"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Unblock device")).to_be_focused()
    if scripts:
        page.keyboard.press("Escape")
    else:
        page.go_back()
    expect(row).to_be_visible()
    if scripts:
        expect(menu).to_be_focused()
    assert site.call(device.identifier) == 403


@pytest.mark.parametrize("key", ["Tab", "Shift+Tab"])
def test_tab_stays_in_an_open_dialog(site: Site, desktop: Page, key: str) -> None:
    site.device()
    upper = site.device()  # devices that called last come first
    desktop.goto(LIST)
    dialog = open_dialog(desktop, desktop.locator(upper.element), "Block")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    for _ in range(8):
        desktop.keyboard.press(key)
        # After the last element, Tab leaves the page for the browser, and then returns.
        focused = desktop.evaluate("document.activeElement.closest('body > div, dialog')?.id")
        assert focused in (None, "apidevices-dialog")


def test_keyboard_can_unblock_a_device(site: Site, desktop: Page) -> None:
    device = site.device()
    site.block(device)
    desktop.goto(f"{LIST}?status=blocked&name={device.identifier}")
    tab_to(desktop, desktop.locator(device.element).locator("summary"))
    desktop.keyboard.press("Enter")
    tab_to(desktop, desktop.get_by_role("link", name=re.compile("^Unblock")))
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_role("button", name="Unblock device")).to_be_focused()
    desktop.keyboard.press("Enter")
    expect_status(desktop, "is unblocked.")
    assert site.call(device.identifier) == 200


def test_keyboard_can_rename_a_device_in_the_list(site: Site, desktop: Page) -> None:
    device = site.device(name="Before")
    desktop.goto(f"{LIST}?name={device.identifier}")
    row = desktop.locator(device.element)
    tab_to(desktop, row.locator("summary"))
    desktop.keyboard.press("Enter")
    tab_to(desktop, row.get_by_role("link", name="Rename"))
    with without_page_load(desktop):
        desktop.keyboard.press("Enter")
        expect(row.get_by_label("Name of")).to_be_focused()
        desktop.keyboard.type("After")  # the old name is selected, so typing replaces it
        desktop.keyboard.press("Enter")
        expect(row.get_by_role("link").first).to_have_text("After")
        expect(row.locator("summary")).to_be_focused()
    assert site.state(device)["name"] == "After"


def test_escape_cancels_renaming(site: Site, desktop: Page) -> None:
    device = site.device(name="Before")
    desktop.goto(f"{LIST}?name={device.identifier}")
    row = desktop.locator(device.element)
    tab_to(desktop, row.locator("summary"))
    desktop.keyboard.press("Enter")
    tab_to(desktop, row.get_by_role("link", name="Rename"))
    desktop.keyboard.press("Enter")
    expect(row.get_by_label("Name of")).to_be_focused()
    desktop.keyboard.type("After")
    desktop.keyboard.press("Escape")
    expect(row.get_by_label("Name of")).to_be_hidden()
    expect(row.locator("summary")).to_be_focused()
    expect(row.get_by_role("link").first).to_have_text("Before")
    assert site.state(device)["name"] == "Before"


def test_rename_on_the_device_page_keeps_the_focus_position(site: Site, desktop: Page) -> None:
    device = site.device()
    desktop.goto(device.path)
    rename = desktop.get_by_role("link", name="Rename")
    tab_to(desktop, rename)
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_label("Name of")).to_be_focused()
    desktop.keyboard.type("After")
    desktop.keyboard.press("Enter")
    expect_status(desktop, "The device is now named")
    expect(rename).to_be_focused()


def test_filter_field_keeps_focus_while_the_list_updates(site: Site, desktop: Page) -> None:
    first, second = site.device("typed-slowly-1"), site.device("typed-slowly-2")
    desktop.goto(LIST)
    field = desktop.get_by_label("Name or identifier")
    tab_to(desktop, field)
    with without_page_load(desktop):
        desktop.keyboard.type("typed-slowly", delay=30)
        expect(desktop.locator("#devices")).to_contain_text("2 devices found")
        expect(field).to_be_focused()
        desktop.keyboard.type("-2")
        expect(desktop.locator(first.element)).to_have_count(0)
        expect(desktop.locator(second.element)).to_be_visible()
        expect(field).to_have_value("typed-slowly-2")
        expect(desktop).to_have_url(re.compile("name=typed-slowly-2"))


def test_skip_link_leads_to_the_content(site: Site, desktop: Page) -> None:
    device = site.device()
    desktop.goto(device.path)
    desktop.keyboard.press("Tab")
    skip = desktop.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    desktop.keyboard.press("Enter")
    desktop.keyboard.press("Tab")
    expect(desktop.get_by_role("main").get_by_role("link").first).to_be_focused()


def test_keyboard_can_sign_in_and_out(open_page: OpenPage, site: Site) -> None:
    page = open_page(signed_in=False)
    page.goto("/login")
    expect(page.get_by_label("Email")).to_be_focused()
    page.keyboard.type(BOB)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Sign out"))
    page.keyboard.press("Enter")
    expect(page.get_by_label("Email")).to_be_focused()


def test_keyboard_can_create_and_revoke_a_token(site: Site, desktop: Page) -> None:
    desktop.goto(TOKENS)
    tab_to(desktop, desktop.get_by_role("link", name="Create token"))
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_role("textbox", name="Name")).to_be_focused()
    desktop.keyboard.press("Escape")
    expect(desktop.get_by_role("link", name="Create token")).to_be_focused()
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_role("textbox", name="Name")).to_be_focused()
    desktop.keyboard.type("by keyboard")
    desktop.keyboard.press("Tab")
    desktop.keyboard.press("ArrowDown")
    expect(desktop.get_by_label("In 30 days")).to_be_checked()
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_role("heading", name="Your new token")).to_be_focused()
    token = desktop.get_by_label("API token", exact=True).inner_text()
    assert site.call("keyboard", token=token) == 200
    tab_to(desktop, desktop.get_by_role("link", name="Revoke by keyboard"))
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_role("dialog").locator(":focus")).to_be_visible()
    desktop.get_by_role("button", name="Revoke token").press("Enter")
    expect_status(desktop, "is revoked.")
    assert site.call("keyboard", token=token) == 401


# --- shortcuts -----------------------------------------------------------------------------------


def test_shortcuts_move_select_and_block(site: Site, desktop: Page) -> None:
    lower, upper = (site.device(application="shortcuts") for _ in range(2))
    desktop.goto(f"{LIST}?application=shortcuts")
    first, second = (desktop.locator(device.element) for device in (upper, lower))
    for key, row in (("j", first), ("j", second), ("j", second), ("k", first)):
        desktop.keyboard.press(key)
        expect(row.get_by_role("link").first).to_be_focused()
    desktop.keyboard.press("x")
    expect(first.get_by_role("checkbox")).to_be_checked()
    desktop.keyboard.press("b")
    expect(desktop.get_by_label("Reason")).to_be_focused()
    desktop.keyboard.type("jkx?")  # shortcuts don't work while somebody types
    desktop.keyboard.press("Enter")
    expect_status(desktop, "is blocked.")
    assert site.state(upper)["block_reason"] == "jkx?"
    desktop.keyboard.press("u")
    expect(desktop.get_by_role("button", name="Undo")).to_be_focused()
    desktop.keyboard.press("Enter")
    expect_status(desktop, "Undone.")
    assert site.state(upper)["status"] == "active"
    expect(first.get_by_role("link").first).to_be_focused()  # the page was loaded again
    desktop.keyboard.press("j")
    expect(second.get_by_role("link").first).to_be_focused()
    desktop.keyboard.press("Enter")
    expect(desktop.locator(f"article{lower.element}")).to_be_visible()


def test_shortcuts_search_and_list_themselves(site: Site, desktop: Page) -> None:
    site.device()
    desktop.goto(LIST)
    desktop.keyboard.press("?")
    sheet = desktop.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_contain_text("Next device")
    desktop.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    desktop.keyboard.press("Control+/")
    expect(desktop.get_by_label("Name or identifier")).not_to_be_focused()
    desktop.keyboard.press("/")
    expect(desktop.get_by_label("Name or identifier")).to_be_focused()


def test_shortcuts_can_be_turned_off(site: Site, desktop: Page) -> None:
    site.device()
    desktop.goto(LIST)
    view = desktop.locator("#view")
    view.locator("summary").click()
    box = view.get_by_label("Keyboard shortcuts")
    with desktop.expect_response("**/preferences*"):
        box.uncheck()
    desktop.keyboard.press("Escape")
    desktop.keyboard.press("/")
    expect(desktop.get_by_label("Name or identifier")).not_to_be_focused()
    view.locator("summary").click()
    with desktop.expect_response("**/preferences*"):
        box.check()
