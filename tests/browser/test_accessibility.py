"""Accessibility: axe checks every page and state, in both color schemes, wide and narrow."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from harness.real_server import RealServer, wait_until
from tests.browser.actions import (
    create_token,
    each_form,
    open_dialog,
    open_rename,
    open_token_form,
    set_up,
)
from tests.browser.conftest import DESKTOP, PHONE, Monitor, OpenPage
from tests.browser.site import ACCOUNT, LIST, LOG, OVERVIEW, STORAGE, Site

# The pages look the same with every database.
pytestmark = pytest.mark.database("sqlite")

OPTIONS = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
COLORS_ONLY = {"resultTypes": ["violations"], "runOnly": ["color-contrast", "link-in-text-block"]}


def assert_accessible(page: Page) -> None:
    """Run axe at both widths, and what it finds out about colors in the dark color scheme, too."""
    for width in (DESKTOP, PHONE):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="light")
        assert_no_violations(page, OPTIONS)
    page.emulate_media(color_scheme="dark")
    assert_no_violations(page, COLORS_ONLY)
    page.set_viewport_size({"width": DESKTOP, "height": 800})
    assert_no_violations(page, COLORS_ONLY)


def assert_no_violations(page: Page, options: dict[str, Any]) -> None:
    results = Axe().run(page, options=options)
    assert results.violations_count == 0, f"{page.viewport_size} {results.generate_report()}"


@pytest.fixture(scope="module")
def mixed_list(site: Site) -> str:
    """The path of a list with named, unnamed, right-to-left and blocked devices."""
    site.device("axe-named", name="Main Entrance", application="Box Office", model="iPad 9")
    site.device("axe-plain")
    site.device("axe-جهاز", name="جهاز")
    site.block(site.device("axe-blocked", name="Lost", manufacturer="Apple"))
    return f"{LIST}?name=axe-"


# --- before sign-in ----------------------------------------------------------------------------


def test_setup_and_empty_list_are_accessible(
    bare_server: RealServer, open_page: OpenPage, monitor: Monitor
) -> None:
    monitor.expected_statuses.add(422)
    page = open_page(bare_server)
    page.goto("/login")
    expect(page.get_by_text("No account exists yet.")).to_be_visible()
    assert_accessible(page)
    page.goto(bare_server.setup_links[0])
    assert_accessible(page)
    page.get_by_label("Email").fill("ann at home")
    page.locator("form").evaluate("form => form.noValidate = true")
    page.get_by_label("Password", exact=True).fill("long enough for anyone")
    page.get_by_label("Confirm password").fill("not the same")
    page.get_by_role("button", name="Create account").click()
    expect(page.locator(".error").first).to_be_visible()
    assert_accessible(page)
    set_up(page, bare_server)
    assert_accessible(page)


def test_login_page_is_accessible(open_page: OpenPage) -> None:
    page = open_page(signed_in=False)
    page.goto("/login")
    assert_accessible(page)
    page.get_by_label("Email").fill("ann@example.org")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".error").first).to_be_visible()
    assert_accessible(page)


# --- the list ----------------------------------------------------------------------------------


def test_list_is_accessible(desktop: Page, mixed_list: str) -> None:
    desktop.goto(mixed_list)
    expect(desktop.get_by_text("4 devices found")).to_be_visible()
    assert_accessible(desktop)


def test_list_with_pagination_is_accessible(site: Site, desktop: Page) -> None:
    for number in range(52):
        site.call(f"axe-page-{number}")
    desktop.goto(f"{LIST}?name=axe-page")
    desktop.get_by_role("link", name="Next").click()
    expect(desktop.get_by_role("link", name="Previous")).to_be_visible()
    assert_accessible(desktop)


def test_empty_result_is_accessible(desktop: Page, mixed_list: str) -> None:
    desktop.goto(f"{mixed_list}nothing")
    expect(desktop.get_by_role("heading", name="No matching devices")).to_be_visible()
    assert_accessible(desktop)


def test_rename_form_in_the_list_is_accessible(site: Site, desktop: Page, monitor: Monitor) -> None:
    monitor.expected_statuses.add(422)
    device = site.device()
    desktop.goto(f"{LIST}?name={device.identifier}")
    row = desktop.locator(device.element)
    open_rename(row)
    assert_accessible(desktop)
    row.get_by_label("Name of").evaluate("field => field.value = 'x'.repeat(256)")
    row.get_by_role("button", name="Save").click()
    expect(row.locator(".error").first).to_be_visible()
    assert_accessible(desktop)


def test_block_dialog_in_the_list_is_accessible(site: Site, desktop: Page) -> None:
    device = site.device()
    desktop.goto(f"{LIST}?name={device.identifier}")
    row = desktop.locator(device.element)
    dialog = open_dialog(desktop, row, "Block")
    assert_accessible(desktop)
    dialog.get_by_role("button", name="Block device").click()
    expect(desktop.locator("#apidevices-status")).to_contain_text("is blocked.")
    assert_accessible(desktop)
    open_dialog(desktop, row, "Unblock")
    assert_accessible(desktop)


def test_confirmation_and_result_for_several_devices_are_accessible(
    desktop: Page, mixed_list: str
) -> None:
    desktop.goto(mixed_list.replace("?", "/bulk?action=tag&all=1&expected=4&"))
    assert_accessible(desktop)
    desktop.get_by_label("Tag").first.fill("Gate A")
    desktop.get_by_role("main").get_by_role("button").last.click()
    expect(desktop.get_by_role("button", name="Undo")).to_be_visible()
    assert_accessible(desktop)
    desktop.goto(f"{LIST}/operations/1")
    assert_accessible(desktop)


# --- other pages -------------------------------------------------------------------------------


def test_device_page_is_accessible(site: Site, desktop: Page) -> None:
    device = site.device("axe-details", application="Box Office", application_version="1", os="iOS")
    site.call(device.identifier, application_version="2")
    site.upload(device.identifier)
    desktop.goto(device.path)
    assert_accessible(desktop)
    site.block(device)
    site.call(device.identifier)
    wait_until(lambda: site.state(device)["denied_count"])
    desktop.reload()
    expect(desktop.get_by_text("Denied requests")).to_be_visible()
    desktop.get_by_text("Numbers by day").click()
    assert_accessible(desktop)
    desktop.goto(f"{device.path}/history")
    assert_accessible(desktop)


@pytest.mark.parametrize("is_blocked", [False, True], ids=["active", "blocked"])
def test_forms_of_a_device_are_accessible(site: Site, desktop: Page, is_blocked: bool) -> None:
    device = site.device(application="Box Office")
    if is_blocked:
        site.block(device)
    desktop.goto(device.path)
    for _ in each_form(desktop, desktop.locator(f"article{device.element}")):
        assert_accessible(desktop)


def test_token_page_is_accessible(site: Site, desktop: Page, monitor: Monitor) -> None:
    monitor.expected_statuses.add(422)
    create_token(desktop, "axe")
    assert_accessible(desktop)
    open_dialog(desktop, desktop.locator("tr").filter(has_text="axe"), "Revoke")
    assert_accessible(desktop)
    desktop.get_by_role("button", name="Revoke token").click()
    expect(desktop.locator("tr").filter(has_text="axe")).to_contain_text("Revoked")
    dialog = open_token_form(desktop)
    dialog.get_by_text("Scopes and limits").click()
    dialog.get_by_label("On a date").check()
    dialog.get_by_role("button", name="Create token").click()
    expect(dialog.locator(".error").first).to_be_visible()
    assert_accessible(desktop)


def test_audit_log_is_accessible(site: Site, desktop: Page) -> None:
    device = site.device()
    site.block(device, "Lost")
    desktop.goto(f"{LOG}?device={device.id}")
    assert_accessible(desktop)
    desktop.get_by_role("link", name="Filter", exact=True).click()
    expect(desktop.get_by_role("dialog")).to_be_visible()
    assert_accessible(desktop)


def test_merging_is_accessible(site: Site, desktop: Page) -> None:
    old, new = site.device(name="axe-merged"), site.device()
    site.block(old, "Lost")
    desktop.goto(f"{new.path}/merge?q=axe-merged")
    assert_accessible(desktop)
    desktop.get_by_role("link", name="Choose").click()
    expect(desktop.get_by_role("dialog")).to_contain_text("will be blocked")
    assert_accessible(desktop)
    desktop.get_by_role("button", name="Merge devices").click()
    expect(desktop.locator(".aliases")).to_contain_text(old.identifier)
    assert_accessible(desktop)


def test_overview_is_accessible(site: Site, desktop: Page, mixed_list: str) -> None:
    site.upload("axe-named")
    desktop.goto(OVERVIEW)
    expect(desktop.locator("table.bars").first).to_be_visible()
    assert_accessible(desktop)


def test_storage_is_accessible(desktop: Page, mixed_list: str) -> None:
    desktop.goto(STORAGE)
    expect(desktop.locator("table.kept")).to_be_visible()
    assert_accessible(desktop)


def test_account_page_is_accessible(desktop: Page) -> None:
    desktop.goto(ACCOUNT)
    assert_accessible(desktop)
    desktop.get_by_label("Current password").fill("not the password")
    desktop.get_by_label("New password", exact=True).fill("long enough for anyone")
    desktop.get_by_label("Confirm new password").fill("not the same")
    desktop.get_by_role("button", name="Change password").click()
    expect(desktop.locator(".error").first).to_be_visible()
    assert_accessible(desktop)


def test_error_page_is_accessible(desktop: Page, monitor: Monitor) -> None:
    monitor.expected_statuses.add(404)
    desktop.goto("/nowhere")
    assert_accessible(desktop)


def test_api_reference_is_accessible(open_page: OpenPage) -> None:
    page = open_page(signed_in=False)
    page.goto("/api/docs")
    assert_accessible(page)


def test_network_error_message_is_accessible(site: Site, desktop: Page, monitor: Monitor) -> None:
    monitor.network_may_fail = True
    desktop.goto(f"{LIST}?name={site.device().identifier}")
    desktop.context.set_offline(True)
    desktop.get_by_label("Name or identifier").fill("phone")
    expect(desktop.locator("#apidevices-status")).not_to_be_empty()
    assert_accessible(desktop)
