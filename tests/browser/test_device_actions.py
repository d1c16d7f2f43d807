"""Renaming, blocking and unblocking devices, in every kind of window."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.actions import (
    expect_status,
    open_details,
    open_dialog,
    open_list,
    open_rename,
    without_page_load,
)
from tests.browser.conftest import IN_EVERY_WINDOW, Monitor
from tests.browser.site import ANN, Site

# The pages work the same with every database.
pytestmark = pytest.mark.database("sqlite")

# --- rename ------------------------------------------------------------------------------------


@IN_EVERY_WINDOW
def test_device_can_be_renamed_in_the_list(site: Site, page: Page, scripts: bool) -> None:
    device = site.device()
    row = open_list(page, device)
    with without_page_load(page, scripts):
        open_rename(row)
        page.get_by_label("Name of").fill("Main Entrance")
        page.get_by_role("button", name="Save").click()
        expect(row.get_by_role("link", name="Main Entrance", exact=True)).to_be_visible()
        expect(row).to_contain_text(device.identifier)
        expect_status(page, "The device is now named “Main Entrance”.")
    if scripts:
        expect(row.locator("summary")).to_be_focused()
    assert site.state(device)["name"] == "Main Entrance"


@IN_EVERY_WINDOW
def test_name_can_be_changed_and_removed_on_the_device_page(
    site: Site, page: Page, scripts: bool
) -> None:
    device = site.device()
    details = open_details(page, device)
    with without_page_load(page, scripts):
        open_rename(details)
        page.get_by_label("Name of").fill("Main Entrance")
        page.get_by_role("button", name="Save").click()
        expect(details.get_by_role("heading", level=1)).to_have_text("Main Entrance")
        expect_status(page, "The device is now named “Main Entrance”.")
        expect(page).to_have_title("Main Entrance · API Devices")
        open_rename(details)
        page.get_by_label("Name of").fill("")
        page.get_by_role("button", name="Save").click()
        expect(details.get_by_role("heading", level=1)).to_have_text(device.identifier)
    assert site.state(device)["name"] is None


@IN_EVERY_WINDOW
def test_too_long_name_can_be_corrected(site: Site, page: Page, monitor: Monitor) -> None:
    monitor.expected_statuses.add(422)
    device = site.device()
    row = open_list(page, device)
    open_rename(row)
    field = page.get_by_label("Name of")
    field.evaluate("field => field.value = 'x'.repeat(256)")  # ignores the maximum length
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("A name can have at most 255 characters.")).to_be_visible()
    expect(field).to_have_value("x" * 256)
    expect(field).to_be_focused()
    field.fill("x" * 255)
    page.get_by_role("button", name="Save").click()
    expect_status(page, "The device is now named")
    assert site.state(device)["name"] == "x" * 255


# --- block and unblock -------------------------------------------------------------------------


@IN_EVERY_WINDOW
def test_device_can_be_blocked_and_unblocked_in_the_list(
    site: Site, page: Page, scripts: bool
) -> None:
    device = site.device(name="Box Office")
    row = open_list(page, device)
    with without_page_load(page, scripts):
        dialog = open_dialog(page, row, "Block", scripts=scripts)
        expect(dialog.get_by_label("Reason")).to_be_focused()
        dialog.get_by_label("Reason").fill("Lost on the train")
        dialog.get_by_role("button", name="Block device").click()
        expect(row).to_contain_text("Blocked")
        expect_status(page, "“Box Office” is blocked. Its requests are denied from now on.")
    assert site.call(device.identifier) == 403
    assert site.state(device)["block_reason"] == "Lost on the train"
    if scripts:
        expect(row.locator("summary")).to_be_focused()

    with without_page_load(page, scripts):
        page.get_by_role("link", name=re.compile("^Blocked")).click()
        expect(page).to_have_url(re.compile(r"[?&]status=blocked$"))
        expect(row).to_be_visible()
        dialog = open_dialog(page, row, "Unblock", scripts=scripts)
        dialog.get_by_role("button", name="Unblock device").click()
        expect_status(page, "“Box Office” is unblocked. Its requests are allowed from now on.")
    assert site.call(device.identifier) == 200
    expect(row).to_have_count(0)  # it is no longer among the blocked ones


@IN_EVERY_WINDOW
def test_device_can_be_blocked_and_unblocked_on_its_page(
    site: Site, page: Page, scripts: bool
) -> None:
    device = site.device()
    details = open_details(page, device)
    with without_page_load(page, scripts):
        dialog = open_dialog(page, details, "Block", scripts=scripts)
        dialog.get_by_label("Reason").fill("Stolen")
        dialog.get_by_role("button", name="Block device").click()
        expect(details).to_contain_text("Stolen")
        expect(details).to_contain_text(f"by {ANN}")
        expect_status(page, "is blocked.")
    assert site.call(device.identifier) == 403
    with without_page_load(page, scripts):
        if scripts:
            expect(details.get_by_role("link", name="Unblock")).to_be_focused()
        dialog = open_dialog(page, details, "Unblock", scripts=scripts)
        dialog.get_by_role("button", name="Unblock device").click()
        expect_status(page, "is unblocked.")
        expect(details.locator(".facts").first).not_to_contain_text("Stolen")
    assert site.call(device.identifier) == 200
    if scripts:
        expect(details.get_by_role("link", name="Block")).to_be_focused()


@IN_EVERY_WINDOW
def test_cancel_returns_to_the_list_without_blocking(site: Site, page: Page, scripts: bool) -> None:
    device = site.device()
    row = open_list(page, device)
    url = page.url
    dialog = open_dialog(page, row, "Block", scripts=scripts)
    dialog.get_by_role("button" if scripts else "link", name="Cancel").click()
    expect(row).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_hidden()
    if scripts:
        expect(row.locator("summary")).to_be_focused()
    assert page.url.partition("#")[0] == url
    assert site.call(device.identifier) == 200
