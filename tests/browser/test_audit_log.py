"""The audit log in the browser: filters in place, with the keyboard, and without scripts."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.actions import without_page_load
from tests.browser.conftest import IN_EVERY_WINDOW
from tests.browser.site import ANN, LOG, Site

pytestmark = pytest.mark.database("sqlite")


@IN_EVERY_WINDOW
def test_filters_change_the_log_in_place(site: Site, page: Page, scripts: bool) -> None:
    device, other = site.device(name="Stage door"), site.device()
    site.block(device, "Lost")
    site.block(other, "Sold")
    page.goto(LOG)
    with without_page_load(page, scripts):
        page.get_by_role("link", name="Filter", exact=True).click()
        page.get_by_label("Action").select_option("Device blocked")
        page.get_by_label("Device").fill(device.identifier)
        page.keyboard.press("Enter")
        log = page.locator("#log")
        expect(log.get_by_role("listitem")).to_have_count(1)
        expect(log).to_contain_text("blocked Stage door: “Lost”")
        expect(page).to_have_url(f"{site.server.url}{LOG}?action=device.blocked&device={device.id}")
        if scripts:
            expect(page.get_by_role("link", name="Filter", exact=True)).to_be_focused()
        page.get_by_role("link", name="Remove the filter Action").click()
        expect(log.get_by_role("listitem")).to_have_count(2)
    page.get_by_role("link", name="Stage door", exact=True).first.click()
    page.get_by_role("link", name="Audit log of this device").click()
    expect(page).to_have_url(f"{site.server.url}{LOG}?device={device.id}")


@IN_EVERY_WINDOW
def test_history_is_filtered_in_place(site: Site, page: Page, scripts: bool) -> None:
    device = site.device(name="Stage door")
    site.block(device, "Lost")
    page.goto(device.path)
    entries = page.locator(".timeline").get_by_role("listitem")
    expect(entries).to_have_count(3)
    with without_page_load(page, scripts):
        kind = page.get_by_label("Kind of entries")
        kind.focus()
        kind.select_option("Renamed")
        if not scripts:
            page.get_by_role("button", name="Show").click()
        expect(entries).to_have_count(1)
        expect(entries).to_contain_text("Stage door")
        expect(page).to_have_url(f"{site.server.url}{device.path}?kind=renamed")
        if scripts:
            expect(kind).to_be_focused()


def test_name_of_a_person_leads_to_their_entries(site: Site, desktop: Page) -> None:
    site.block(site.device(), "Lost")
    desktop.goto(LOG)
    desktop.get_by_role("link", name=ANN).first.click()
    expect(desktop.get_by_role("link", name="Remove the filter Person")).to_be_visible()
    desktop.go_back()
    expect(desktop.get_by_role("link", name="Remove the filter Person")).to_have_count(0)
