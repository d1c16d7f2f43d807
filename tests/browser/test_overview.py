"""The overview in the browser: in place, with the keyboard, and without scripts."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import IN_EVERY_WINDOW
from tests.browser.site import LIST, OVERVIEW, Site

pytestmark = pytest.mark.database("sqlite")


@IN_EVERY_WINDOW
def test_bar_leads_to_the_devices_with_the_version(site: Site, page: Page) -> None:
    site.device(application="Box Office", application_version="7.1")
    page.goto(LIST)
    page.get_by_role("link", name="Overview").first.click()
    row = page.locator("table.bars tbody tr:has(a)").first
    number, version = row.locator(".number").inner_text(), row.get_by_role("link").inner_text()
    row.click(position={"x": 150, "y": 10})  # the link covers the row
    expect(page.get_by_text("Active in the last: 30 days")).to_be_visible()
    expect(page.get_by_text(f"Application version: {version}")).to_be_visible()
    expect(page.locator("tbody tr[id^=device-]")).to_have_count(int(number))


def test_figures_update_in_place_and_the_focus_stays(site: Site, desktop: Page) -> None:
    def hurry(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=response.text().replace("every 30s", "every 300ms"))

    site.device()
    desktop.route(f"**{OVERVIEW}*", hurry)
    desktop.goto(OVERVIEW)
    total = desktop.locator("#overview .lead").get_by_role("link").first
    number = int(total.inner_text())
    total.focus()
    site.device()
    expect(total).to_have_text(str(number + 1))
    expect(total).to_be_focused()
    desktop.unroute_all(behavior="ignoreErrors")  # of an update that is under way


def test_chart_changes_in_place(site: Site, desktop: Page) -> None:
    site.upload(site.device().identifier)
    desktop.goto(OVERVIEW)
    desktop.get_by_role("link", name="90 days", exact=True).press("Enter")
    expect(desktop).to_have_url(f"{site.server.url}{OVERVIEW}?days=90")
    expect(desktop.get_by_role("link", name="90 days", exact=True)).to_be_focused()
