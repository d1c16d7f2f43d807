"""The filters of the device list, in every kind of window."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.actions import without_page_load
from tests.browser.conftest import IN_EVERY_WINDOW
from tests.browser.site import LIST, Site

pytestmark = pytest.mark.database("sqlite")


@IN_EVERY_WINDOW
def test_name_filter_updates_the_list_and_the_url(site: Site, page: Page, scripts: bool) -> None:
    device = site.device(name=f"Zürich {page.viewport_size} {scripts}")
    other = site.device()
    page.goto(LIST)
    row = page.locator(device.element)
    with without_page_load(page, scripts):
        page.get_by_label("Name or identifier").fill(f"ZÜRICH {page.viewport_size} {scripts}")
        if not scripts:
            page.get_by_role("button", name="Search").click()
        expect(page.locator(other.element)).to_have_count(0)
        expect(row).to_be_visible()
        expect(page.locator("#devices")).to_contain_text("1 device found")
        if scripts:
            expect(page.locator("#apidevices-status")).to_have_text("1 device found")
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
    blocked = page.get_by_role("link", name=re.compile("^Blocked"))
    blocked.click()
    expect(page).to_have_url(re.compile(r"\?status=blocked$"))
    expect(row).to_have_count(0)
    field.fill("no such device")
    if not scripts:
        page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="No matching devices")).to_be_visible()
    expect(page).to_have_url(re.compile(r"name=no\+such\+device&status=blocked$"))
    page.go_back()
    if "name=" in page.url or "status=" in page.url:
        page.go_back()  # without scripts, the search is a page of its own
    expect(page).to_have_url(re.compile(f"{LIST}$"))
    expect(row).to_be_visible()
    expect(field).to_have_value("")
    expect(page.get_by_role("link", name=re.compile("^All"))).to_have_attribute(
        "aria-current", "true"
    )
    page.wait_for_load_state()  # HTMX handles Forward only after its reload on Back
    page.go_forward()
    expect(blocked).to_have_attribute("aria-current", "true")


def test_typing_slowly_adds_nothing_to_the_history(site: Site, desktop: Page) -> None:
    device = site.device()
    desktop.goto(LIST)
    before = desktop.evaluate("history.length")
    field = desktop.get_by_label("Name or identifier")
    for length in (3, len(device.identifier)):
        field.fill(device.identifier[:length])
        expect(desktop).to_have_url(re.compile(f"name={device.identifier[:length]}$"))
    field.fill("")
    expect(desktop).to_have_url(re.compile(f"{LIST}$"))
    assert desktop.evaluate("history.length") == before


@IN_EVERY_WINDOW
def test_filter_is_set_in_a_form_and_removed_by_its_chip(
    site: Site, page: Page, scripts: bool
) -> None:
    device = site.device(application="kiosk", application_version="2.9")
    other = site.device(application="kiosk", application_version="2.10")
    page.goto(f"{LIST}?application=Kiosk")
    with without_page_load(page, scripts):
        page.get_by_role("link", name="Filter", exact=True).click()
        form = page.get_by_role("dialog" if scripts else "main")
        form.get_by_label("Version below").fill("2.10")
        form.get_by_label("First seen after").fill("2020-01-01")
        page.get_by_role("button", name="Show devices").click()
        expect(page.locator(device.element)).to_be_visible()
        expect(page.locator(other.element)).to_have_count(0)
        page.get_by_role("link", name="Version below: 2.10").click()
        expect(page.locator(other.element)).to_be_visible()
        expect(page.locator(".chip")).to_have_text(
            ["Remove the filter Application: Kiosk", re.compile("First seen after: 2020-01-01")]
        )
    expect(page).to_have_url(re.compile(r"\?application=Kiosk&registered_after=[^&]*$"))
    if scripts:
        expect(page.get_by_role("link", name="Filter", exact=True)).to_be_focused()


@IN_EVERY_WINDOW
def test_clear_filters_shows_all_devices(site: Site, page: Page) -> None:
    device = site.device()
    page.goto(f"{LIST}?name=no+such+device")
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator(device.element)).to_be_visible()
    expect(page.get_by_label("Name or identifier")).to_have_value("")
