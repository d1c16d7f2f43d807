"""An open page when a request fails, the session ends, or another user changes the device."""

import re

import pytest
from playwright.sync_api import Page, expect

from harness.real_server import RealServer
from tests.browser.actions import (
    expect_status,
    open_dialog,
    open_list,
    open_rename,
    set_up,
    without_page_load,
)
from tests.browser.conftest import Monitor, OpenPage, sign_in
from tests.browser.site import BOB, LIST, Site
from tests.conftest import DEVICE, as_device

pytestmark = pytest.mark.database("sqlite")

NO_RESPONSE = "The server did not respond."


@pytest.fixture
def bob_page(open_page: OpenPage) -> Page:
    """A page signed in as Bob, whose sessions a test may end."""
    page = open_page(signed_in=False)
    sign_in(page, BOB)
    return page


def sign_out_elsewhere(page: Page) -> Page:
    """Sign out in another tab of the same browser, and return that tab."""
    other = page.context.new_page()
    other.goto(LIST)
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    return other


# --- no network --------------------------------------------------------------------------------


def test_failed_block_shows_an_error_and_can_be_retried(
    site: Site, desktop: Page, monitor: Monitor
) -> None:
    monitor.network_may_fail = True
    device = site.device()
    row = open_list(desktop, device)
    dialog = open_dialog(desktop, row, "Block")
    with without_page_load(desktop):
        dialog.get_by_label("Reason").fill("Lost")
        desktop.context.set_offline(True)
        dialog.get_by_role("button", name="Block device").click()
        expect(dialog.get_by_role("alert")).to_contain_text(NO_RESPONSE)
        expect(dialog.get_by_role("button", name="Block device")).to_be_focused()
        assert site.state(device)["status"] == "active"
        desktop.context.set_offline(False)
        dialog.get_by_role("button", name="Block device").click()
        expect(row).to_contain_text("Blocked")
        expect(dialog).to_be_hidden()
    assert site.state(device)["block_reason"] == "Lost"


def test_failed_rename_keeps_the_typed_name(site: Site, desktop: Page, monitor: Monitor) -> None:
    monitor.network_may_fail = True
    device = site.device(name="Before")
    row = open_list(desktop, device)
    open_rename(row)
    desktop.context.set_offline(True)
    row.get_by_label("Name of").fill("After")
    row.get_by_role("button", name="Save").click()
    expect(row.get_by_role("alert")).to_contain_text(NO_RESPONSE)
    expect(row.get_by_label("Name of")).to_have_value("After")
    expect(row.get_by_role("button", name="Save")).to_be_focused()
    assert site.state(device)["name"] == "Before"


def test_failed_filter_request_keeps_the_list(site: Site, desktop: Page, monitor: Monitor) -> None:
    monitor.network_may_fail = True
    device = site.device()
    row = open_list(desktop, device)
    desktop.context.set_offline(True)
    desktop.get_by_label("Name or identifier").fill("no such device")
    expect_status(desktop, NO_RESPONSE)
    expect(row).to_be_visible()


def test_block_on_a_stopped_server_shows_an_error(
    bare_server: RealServer, open_page: OpenPage, monitor: Monitor
) -> None:
    monitor.network_may_fail = True
    page = open_page(bare_server)
    set_up(page, bare_server)
    token = bare_server.create_token()
    assert bare_server.call("GET", DEVICE, as_device(token, "phone-1")).status == 200
    page.reload()
    row = page.get_by_role("row").filter(has_text="phone-1")
    dialog = open_dialog(page, row, "Block")
    bare_server.stop()
    dialog.get_by_role("button", name="Block device").click()
    expect(dialog.get_by_role("alert")).to_contain_text(NO_RESPONSE)
    dialog.get_by_role("button", name="Cancel").click()
    expect(row).not_to_contain_text("Blocked")


# --- ended session -----------------------------------------------------------------------------


def test_block_after_the_session_ended_returns_to_the_list_after_sign_in(
    site: Site, bob_page: Page, monitor: Monitor
) -> None:
    monitor.expected_statuses.add(401)
    device = site.device()
    bob_page.goto(f"{LIST}?name={device.identifier}")
    dialog = open_dialog(bob_page, bob_page.locator(device.element), "Block")
    dialog.get_by_label("Reason").fill("Lost")
    sign_out_elsewhere(bob_page)
    dialog.get_by_role("button", name="Block device").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Your session has ended")
    expect(dialog.get_by_label("Reason")).to_have_value("Lost")
    dialog.get_by_role("link", name="Sign in").click()
    expect(bob_page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert site.state(device)["status"] == "active"
    sign_in(bob_page, BOB, path=None)
    expect(bob_page).to_have_url(re.compile(rf"{LIST}\?name={device.identifier}$"))
    expect(bob_page.locator(device.element)).to_be_visible()


def test_filter_after_the_session_ended_asks_to_sign_in(
    site: Site, bob_page: Page, monitor: Monitor
) -> None:
    monitor.expected_statuses.add(401)
    open_list(bob_page, site.device())
    sign_out_elsewhere(bob_page)
    bob_page.get_by_label("Name or identifier").fill("phone")
    expect(bob_page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_page_of_an_earlier_session_asks_to_reload(
    site: Site, bob_page: Page, monitor: Monitor
) -> None:
    monitor.expected_statuses.add(400)
    device = site.device()
    row = open_list(bob_page, device)
    dialog = open_dialog(bob_page, row, "Block")
    sign_in(sign_out_elsewhere(bob_page), BOB)
    with without_page_load(bob_page):
        dialog.get_by_role("button", name="Block device").click()
        expect(dialog.get_by_role("alert")).to_contain_text("Reload it and try again.")
        expect(row).not_to_contain_text("Blocked")
    assert site.state(device)["status"] == "active"


# --- concurrent changes ------------------------------------------------------------------------


def test_blocking_a_device_that_another_user_blocked_keeps_the_first_reason(
    site: Site, desktop: Page
) -> None:
    device = site.device()
    row = open_list(desktop, device)
    dialog = open_dialog(desktop, row, "Block")
    site.block(device, reason="First")
    dialog.get_by_label("Reason").fill("Second")
    dialog.get_by_role("button", name="Block device").click()
    expect(row).to_contain_text("Blocked")
    assert site.state(device)["block_reason"] == "First"
