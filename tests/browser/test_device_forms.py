"""Forms in the dialog: what JavaScript adds to their fields, and that they are sent once."""

import pytest
from playwright.sync_api import Page, expect

from harness.real_server import wait_until
from tests.browser.actions import expect_status, open_dialog, without_page_load
from tests.browser.site import Site

# The pages behave the same with every database.
pytestmark = pytest.mark.database("sqlite")


def open_from_menu(page: Page, label: str) -> None:
    page.get_by_title("More actions").click()
    page.get_by_role("link", name=label).click()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_end_of_a_block_is_in_the_time_zone_of_the_viewer(site: Site, desktop: Page) -> None:
    device = site.device()
    browser = desktop.context.new_cdp_session(desktop)
    browser.send("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kolkata"})
    desktop.goto(device.path)
    dialog = open_dialog(desktop, desktop.get_by_role("article"), "Block")
    dialog.get_by_label("On a date").check()
    expect(dialog.get_by_text("your time, UTC+05:30")).to_be_visible()
    dialog.get_by_label("End", exact=True).fill("2090-03-01T09:00")
    dialog.get_by_role("button", name="Block device").click()
    expect_status(desktop, "is blocked until Mar 1, 2090 9:00 AM GMT+5:30.")
    open_from_menu(desktop, "Change block")
    expect(desktop.get_by_label("End", exact=True)).to_have_value("2090-03-01T09:00")
    browser.send("Emulation.setTimezoneOverride", {"timezoneId": ""})


def test_tags_of_other_devices_are_suggested(site: Site, desktop: Page) -> None:
    tagged, device = site.device(), site.device()
    site.manage("PATCH", f"/api/v1/devices/{tagged.id}", {"tags": ["Suggested tag"]})

    def suggest() -> bool:
        desktop.goto(f"{device.path}/tags")
        desktop.goto(device.path)
        open_from_menu(desktop, "Edit tags")
        return desktop.get_by_role("button", name="Add Suggested tag").is_visible()

    wait_until(suggest)
    desktop.get_by_label("Tags", exact=True).fill("First")
    desktop.get_by_role("button", name="Add Suggested tag").click()
    expect(desktop.get_by_label("Tags", exact=True)).to_have_value("First, Suggested tag")
    with without_page_load(desktop):
        desktop.keyboard.press("Enter")
        expect_status(desktop, "Tags: First, Suggested tag.")
    assert site.state(device)["tags"] == ["First", "Suggested tag"]


def test_form_is_sent_once_however_often_it_is_submitted(site: Site, desktop: Page) -> None:
    device = site.device()
    desktop.goto(device.path)
    dialog = open_dialog(desktop, desktop.get_by_role("article"), "Block")
    sent: list[str] = []
    desktop.on("request", lambda request: sent.append(request.method))
    dialog.get_by_role("button", name="Block device").dblclick()
    expect_status(desktop, "is blocked.")
    assert sent.count("POST") == 1


def test_deleting_a_device_leads_to_the_list(site: Site, desktop: Page) -> None:
    device = site.device()
    desktop.goto(device.path)
    open_from_menu(desktop, "Delete")
    expect(desktop.get_by_role("button", name="Cancel")).to_be_focused()
    desktop.get_by_role("button", name="Delete device").click()
    expect(desktop.get_by_role("heading", name="API Devices", level=1)).to_be_visible()
    expect_status(desktop, "and everything stored about it was deleted.")
