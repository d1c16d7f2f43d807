"""The API docs. They need no JavaScript."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import IN_EVERY_WINDOW, PHONE, OpenPage
from tests.browser.measuring import assert_sound_at_all_widths
from tests.browser.site import LIST

pytestmark = pytest.mark.database("sqlite")

PATH = "/api/docs"


@IN_EVERY_WINDOW
def test_contents_lead_to_an_operation_and_on_to_its_response(
    open_page: OpenPage, kind: tuple[int, bool]
) -> None:
    page = open_page(width=kind[0], scripts=kind[1], signed_in=False)
    page.goto(PATH)
    if kind[0] == PHONE:
        page.get_by_text("Contents", exact=True).click()
    page.get_by_role("navigation").get_by_role("link", name="Get a device").click()
    operation = page.locator("#get_device")
    expect(operation.get_by_role("heading", level=3)).to_be_in_viewport()
    operation.get_by_role("link", name="DeviceJson", exact=True).click()
    expect(page.get_by_role("heading", name="DeviceJson", exact=True)).to_be_in_viewport()


def test_admin_pages_and_reference_link_to_each_other(open_page: OpenPage) -> None:
    page = open_page()
    page.goto(LIST)
    page.get_by_role("link", name="API Docs").click()
    expect(page.get_by_role("heading", name="API Docs")).to_be_visible()
    document = page.get_by_role("link", name="openapi.json")
    expect(document).to_have_attribute("href", "/api/openapi.json")
    page.get_by_role("link", name="API Devices").first.click()
    expect(page.get_by_role("heading", name="API Devices")).to_be_visible()


def test_reference_is_sound_at_all_widths(open_page: OpenPage) -> None:
    page = open_page(signed_in=False)
    page.goto(PATH)
    page.locator("details.contents").evaluate("contents => contents.open = true")
    assert_sound_at_all_widths(page)
