"""Selecting devices in the list, and what can be done to all of them."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.site import LIST, Site

# The pages behave the same with every database.
pytestmark = pytest.mark.database("sqlite")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_selected_devices_are_blocked_after_a_confirmation(
    site: Site, open_page: OpenPage, scripts: bool
) -> None:
    page = open_page(scripts=scripts)
    application = f"selected {scripts}"
    first, second, other = (site.device(application=application) for _ in range(3))
    page.goto(f"{LIST}?application={application}")
    for device in (first, second):
        page.locator(device.element).get_by_role("checkbox").check()
    if scripts:
        expect(page.get_by_text("2 selected")).to_be_visible()
    bulk = page.locator("#bulk")
    bulk.get_by_role("link" if scripts else "button", name="Block…", exact=True).click()
    page.get_by_role("button", name="Block 2 devices").click()
    expect(page.locator(second.element)).to_contain_text("Blocked")
    states = [site.state(device)["status"] for device in (first, second, other)]
    assert states == ["blocked", "blocked", "active"]


def test_page_and_range_are_selected(site: Site, desktop: Page) -> None:
    rows = [desktop.locator(site.device(application="range").element) for _ in range(4)]
    desktop.goto(f"{LIST}?application=range")
    boxes = [row.get_by_role("checkbox") for row in reversed(rows)]
    expect(desktop.locator("#bulk")).to_be_hidden()
    boxes[0].check()
    boxes[2].click(modifiers=["Shift"])
    expect(desktop.get_by_text("3 selected")).to_be_visible()
    desktop.get_by_label("Select all devices on this page").check()
    expect(desktop.get_by_text("4 selected")).to_be_visible()
    desktop.get_by_role("button", name="Clear").click()
    expect(desktop.locator("#bulk")).to_be_hidden()
    expect(boxes[1]).not_to_be_checked()


# Focuses each row from the last to the first, and returns how much of one the table head covers.
COVERED = """() => {
  const bottom = (element) => element.getBoundingClientRect().bottom;
  const covered = [...document.querySelectorAll("#devices tbody tr")].reverse().map((row) => {
    row.querySelector(".naming > a").focus();
    return bottom(document.querySelector("thead th")) - row.getBoundingClientRect().top;
  });
  return Math.max(...covered.slice(0, -1));
}"""


def test_all_that_match_are_selected_over_all_pages(site: Site, desktop: Page) -> None:
    for number in range(51):
        site.call(f"all-{number}", application="all pages")
    desktop.goto(f"{LIST}?application=all+pages")
    for width in (900, 1280):
        desktop.set_viewport_size({"width": width, "height": 700})
        assert desktop.evaluate(COVERED) <= 0, f"a row with the focus is covered at {width} px"
    desktop.get_by_label("Select all devices on this page").check()
    desktop.get_by_label("All 51 that match").check()
    desktop.locator("#bulk").get_by_role("link", name="Tag…", exact=True).click()
    expect(desktop.get_by_role("dialog", name="Tag 51 devices?")).to_be_visible()
    desktop.keyboard.press("Escape")
    desktop.locator("#bulk").get_by_role("link", name="Delete…").click()
    expect(desktop.get_by_role("dialog", name="Delete 51 devices?")).to_be_visible()
    expect(desktop.get_by_role("button", name="Cancel")).to_be_focused()


def test_rows_keep_up_and_new_devices_wait(site: Site, desktop: Page) -> None:
    device = site.device(application="live")
    desktop.clock.install()
    desktop.goto(f"{LIST}?application=live")
    row = desktop.locator(device.element)
    row.get_by_role("checkbox").check()
    site.block(device)
    arrived = site.device(application="live")
    with desktop.expect_response("**/updates*"):
        desktop.clock.run_for(11_000)
    expect(row).to_contain_text("Blocked")
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(desktop.locator(arrived.element)).to_have_count(0)
    expect(desktop.get_by_role("link", name="Blocked 1")).to_be_visible()
    desktop.get_by_role("link", name="1 new device").click()
    expect(desktop.locator(arrived.element)).to_be_visible()
