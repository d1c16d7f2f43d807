"""The filters of the device list, in every kind of window."""

import re

from playwright.sync_api import Page, expect

from tests.browser.actions import without_page_load
from tests.browser.conftest import IN_EVERY_WINDOW
from tests.browser.site import LIST, Site


@IN_EVERY_WINDOW
def test_name_filter_updates_the_list_and_the_url(site: Site, page: Page, scripts: bool) -> None:
    device = site.device(name=f"Zürich {page.viewport_size} {scripts}")
    other = site.device()
    page.goto(LIST)
    row = page.locator(device.element)
    with without_page_load(page, scripts):
        page.get_by_label("Name or identifier").fill(f"ZÜRICH {page.viewport_size} {scripts}")
        if not scripts:
            page.get_by_role("button", name="Apply").click()
        expect(page.locator(other.element)).to_have_count(0)
        expect(row).to_be_visible()
        expect(page.locator("#devices")).to_contain_text("1 device found")
        if scripts:
            expect(page.locator("#filter-result")).to_have_text("1 device found")
    assert "name=Z" in page.url
    page.reload()
    expect(page.locator(other.element)).to_have_count(0)
    expect(row).to_be_visible()


@IN_EVERY_WINDOW
def test_back_and_forward_restore_the_filters(site: Site, page: Page, scripts: bool) -> None:
    device = site.device()
    page.goto(LIST)
    row = page.locator(device.element)
    field = page.get_by_label("Name or identifier")
    field.fill("no such device")
    page.get_by_text("Only blocked").click()
    if not scripts:
        page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="No matching devices")).to_be_visible()
    expect(page).to_have_url(re.compile("status=blocked"))
    page.go_back()
    if "name=" in page.url:
        page.go_back()  # each filter change may be its own history entry
    expect(page).to_have_url(re.compile(f"{LIST}$"))
    expect(row).to_be_visible()
    expect(field).to_have_value("")
    expect(page.get_by_label("All")).to_be_checked()
    page.wait_for_load_state()  # HTMX handles Forward only after its reload on Back
    page.go_forward()
    expect(page.get_by_role("heading", name="No matching devices")).to_be_visible()
    expect(field).to_have_value("no such device")


@IN_EVERY_WINDOW
def test_clear_filters_shows_all_devices(site: Site, page: Page) -> None:
    device = site.device()
    page.goto(f"{LIST}?name=no+such+device")
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator(device.element)).to_be_visible()
    expect(page.get_by_label("Name or identifier")).to_have_value("")
