"""Layout of every page and state, measured from phones to large screens and at 400 % zoom."""

import pytest
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
from tests.browser.conftest import Monitor, OpenPage
from tests.browser.measuring import assert_sound_at_all_widths
from tests.browser.site import ACCOUNT, LIST, LOG, OVERVIEW, STORAGE, TOKENS, Device, Site
from tests.browser.test_accessibility import assert_accessible
from tests.conftest import DEVICES

# The pages look the same with every database.
pytestmark = pytest.mark.database("sqlite")

FLEET = [
    (
        "Main entrance, gate A, left turnstile",
        "Box Office Companion",
        "14.12.3",
        "Samsung",
        "Tab 5",
    ),
    ("", "Box Office Companion", "14.12.3", "Zebra Technologies", "TC58 Touch Computer"),
    ("Getränkestand Süd", "Kassensystem", "2026.10.1", "SUNMI", "V2s Plus"),
    ("جهاز شباك التذاكر الرئيسي رقم ٣", "تطبيق التذاكر", "3", "Huawei", "MatePad"),
    ("三号检票口的手持扫描仪", "票务", "8.0", "Xiaomi", "Redmi Pad SE"),
    ("", "", "", "", ""),
]
"""Name, application, its version, manufacturer and model."""

TOKEN_OPTIONS = [
    ("Scanners of the main entrance", "--require-device-id", "--new-devices-per-hour", "2500"),
    ("Dashboard", "--scope", "devices:read", "--scope", "devices:write", "--expires-days", "30"),
    ("Monitoring of the agency", "--scope", "metrics:read"),
]


@pytest.fixture(scope="module")
def fleet(site: Site) -> list[Device]:
    """Devices with short, long and missing details.

    One is blocked and has denied requests, one may be several devices.
    """
    devices = []
    for number, (name, application, version, manufacturer, model) in enumerate(FLEET):
        details = {
            "application": application,
            "application_version": version,
            "os": "Android" if application else "",
            "os_version": "15" if application else "",
            "manufacturer": manufacturer,
            "model": model,
        }
        identifier = f"5f1e7a0{number}-4c0a-4b2e-9b1d-wide0a1b2c3d"
        devices.append(site.device(identifier, name=name, **details))
    site.call(devices[0].identifier, application_version="14.13", os_version="16")
    site.upload(devices[0].identifier)
    for model in ("Kassenterminal mit Drucker und Kartenleser", FLEET[2][4]):
        site.call(devices[2].identifier, model=model)
    tags = ["Main entrance", "Replacement device", "Team A"]
    site.manage("PATCH", f"{DEVICES}/{devices[0].id}", {"tags": tags})
    site.block(
        devices[1], "Left in a taxi after the concert on Saturday. Ann has informed the police."
    )
    assert site.call(devices[1].identifier) == 403
    wait_until(lambda: site.state(devices[1])["denied_count"])
    return devices


@pytest.fixture
def open_fleet(desktop: Page, fleet: list[Device]) -> Page:
    desktop.goto(f"{LIST}?name=wide0a")
    expect(desktop.locator(fleet[0].element)).to_be_visible()
    return desktop


# --- the list ----------------------------------------------------------------------------------


def test_list(open_fleet: Page) -> None:
    assert_sound_at_all_widths(open_fleet)


def test_list_without_scripts(open_page: OpenPage, fleet: list[Device]) -> None:
    page = open_page(scripts=False)
    page.goto(f"{LIST}?name=wide0a")
    expect(page.locator(fleet[0].element).get_by_role("checkbox")).to_be_visible()
    assert_sound_at_all_widths(page)


def test_list_of_blocked_devices(desktop: Page, fleet: list[Device]) -> None:
    desktop.goto(f"{LIST}?name=wide0a&status=blocked")
    expect(desktop.locator(fleet[1].element)).to_be_visible()
    assert_sound_at_all_widths(desktop)


def test_list_without_matches(desktop: Page) -> None:
    desktop.goto(f"{LIST}?name=no+such+device")
    expect(desktop.get_by_role("heading", name="No matching devices")).to_be_visible()
    assert_sound_at_all_widths(desktop)


def test_rename_form_in_the_list(open_fleet: Page, fleet: list[Device]) -> None:
    row = open_fleet.locator(fleet[0].element)
    open_rename(row)
    expect(row.get_by_label("Name of")).to_be_visible()
    assert_sound_at_all_widths(open_fleet)


def test_block_dialog(open_fleet: Page, fleet: list[Device]) -> None:
    open_dialog(open_fleet, open_fleet.locator(fleet[0].element), "Block")
    assert_sound_at_all_widths(open_fleet)


def test_filter_dialog_keeps_its_buttons_in_view(open_fleet: Page) -> None:
    open_fleet.get_by_role("link", name="Filter", exact=True).click()
    dialog = open_fleet.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert_sound_at_all_widths(open_fleet)
    open_fleet.set_viewport_size({"width": 375, "height": 640})
    expect(dialog.get_by_role("button", name="Show devices")).to_be_in_viewport(ratio=1)


def test_saved_view(desktop: Page, fleet: list[Device]) -> None:
    desktop.goto(f"{LIST}/views?name=wide0a")
    assert_sound_at_all_widths(desktop)
    name = "Scanners and tablets at the main entrance"
    desktop.get_by_label("Name").fill(name)
    desktop.get_by_role("button", name="Save view").click()
    link = desktop.get_by_role("link", name=name, exact=True)
    expect(link).to_have_attribute("aria-current", "page")
    assert_sound_at_all_widths(desktop)
    desktop.get_by_role("link", name=f"Delete the view {name}").click()
    dialog = desktop.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert_sound_at_all_widths(desktop)
    dialog.get_by_role("button", name="Delete view").click()
    expect(link).to_have_count(0)


@pytest.mark.parametrize("action", ["block", "tag", "delete"])
def test_confirmation_for_several_devices(desktop: Page, fleet: list[Device], action: str) -> None:
    desktop.goto(f"{LIST}/bulk?action={action}&all=1&expected={len(fleet)}&name=wide0a")
    expect(desktop.get_by_role("main")).to_contain_text(f"{len(fleet)} devices")
    assert_sound_at_all_widths(desktop)


def test_result_for_several_devices(desktop: Page, fleet: list[Device]) -> None:
    ids = "&".join(f"id={device.id}" for device in fleet[2:4])
    desktop.goto(f"{LIST}/bulk?action=tag&{ids}")
    desktop.get_by_label("Tag").first.fill("Main entrance")
    desktop.get_by_role("main").get_by_role("button").last.click()
    expect(desktop.get_by_role("button", name="Undo")).to_be_visible()
    assert_sound_at_all_widths(desktop)
    desktop.goto(f"{LIST}/operations/1")
    assert_sound_at_all_widths(desktop)


# --- a device ----------------------------------------------------------------------------------


def test_details(desktop: Page, fleet: list[Device]) -> None:
    desktop.goto(fleet[0].path)
    assert_sound_at_all_widths(desktop)


def test_details_of_a_blocked_device(desktop: Page, fleet: list[Device]) -> None:
    desktop.goto(fleet[1].path)
    expect(desktop.get_by_text("Denied requests")).to_be_visible()
    assert_sound_at_all_widths(desktop)


def test_details_of_a_device_that_may_be_several(desktop: Page, fleet: list[Device]) -> None:
    desktop.goto(fleet[2].path)
    expect(desktop.get_by_role("heading", name="May be several devices")).to_be_visible()
    assert_sound_at_all_widths(desktop)


def test_details_with_the_numbers_by_day(desktop: Page, fleet: list[Device]) -> None:
    desktop.goto(fleet[1].path)
    desktop.get_by_text("Numbers by day").click()
    expect(desktop.get_by_role("cell", name="0").first).to_be_visible()
    assert_sound_at_all_widths(desktop)


def test_suggestions(desktop: Page, site: Site, fleet: list[Device]) -> None:
    name, application, _, manufacturer, model = FLEET[1]
    details = {"application": application, "manufacturer": manufacturer, "model": model}
    site.device("5f1e7a0f-4c0a-4b2e-9b1d-again0a1b2c3d", name=name, **details)
    desktop.goto(LIST)
    desktop.get_by_role("link", name="Suggestions").click()
    expect(desktop.get_by_role("heading", name="May be the blocked device")).to_be_visible()
    assert_sound_at_all_widths(desktop)
    assert_accessible(desktop)


@pytest.mark.parametrize("number", [0, 1, 2], ids=["active", "blocked", "several"])
def test_forms_of_a_device(desktop: Page, fleet: list[Device], number: int) -> None:
    desktop.goto(fleet[number].path)
    paths = []
    for path in each_form(desktop, desktop.locator(f"article{fleet[number].element}")):
        assert_sound_at_all_widths(desktop)
        paths.append(path)
    for path in paths:  # without JavaScript, each form is a page
        desktop.goto(path)
        assert_sound_at_all_widths(desktop)


def test_details_with_lookalike_characters(site: Site, desktop: Page) -> None:
    desktop.goto(site.device("scаnner-lookalike", name="Gаte С").path)  # Cyrillic а and С
    expect(desktop.get_by_text("Lookalike characters").first).to_be_visible()
    assert_sound_at_all_widths(desktop)


def test_history(desktop: Page, fleet: list[Device]) -> None:
    desktop.goto(f"{fleet[0].path}/history")
    assert_sound_at_all_widths(desktop)


# --- tokens ------------------------------------------------------------------------------------


def test_tokens_and_a_new_token(desktop: Page) -> None:
    create_token(desktop, "Handheld scanners of the main entrance")
    assert_sound_at_all_widths(desktop)


def test_list_of_tokens_in_every_state(site: Site, desktop: Page) -> None:
    for name, *options in TOKEN_OPTIONS:
        created = site.server.flask("apidevices", "create-token", name, *options)
        assert created.returncode == 0, created.stderr
    site.server.flask("apidevices", "revoke-token", TOKEN_OPTIONS[-1][0])
    desktop.goto(TOKENS)
    expect(desktop.get_by_role("heading", name="Revoked and expired")).to_be_visible()
    assert_sound_at_all_widths(desktop)


def test_token_form(desktop: Page) -> None:
    dialog = open_token_form(desktop)
    dialog.get_by_label("On a date").check()
    dialog.get_by_text("Scopes and limits").click()
    assert_sound_at_all_widths(desktop)
    desktop.goto(f"{TOKENS}/new")
    assert_sound_at_all_widths(desktop)


def test_revoke_dialog(site: Site, desktop: Page) -> None:
    site.server.create_token("Turnstiles", "devices:read", "devices:write")
    desktop.goto(TOKENS)
    open_dialog(desktop, desktop.locator("tr").filter(has_text="Turnstiles"), "Revoke")
    assert_sound_at_all_widths(desktop)


# --- the audit log -----------------------------------------------------------------------------


def test_audit_log_and_its_filters(desktop: Page, fleet: list[Device]) -> None:
    desktop.goto(f"{LOG}?device={fleet[1].id}&action=device.blocked")
    expect(desktop.get_by_text("Left in a taxi")).to_be_visible()
    assert_sound_at_all_widths(desktop)
    desktop.goto(f"{LOG}?actor=nobody")
    assert_sound_at_all_widths(desktop)
    desktop.goto(f"{LOG}/filters")
    assert_sound_at_all_widths(desktop)
    desktop.goto(LOG)
    desktop.get_by_role("link", name="Filter", exact=True).click()
    expect(desktop.get_by_role("dialog")).to_be_visible()
    assert_sound_at_all_widths(desktop)


# --- the overview ------------------------------------------------------------------------------


@pytest.mark.usefixtures("fleet")
def test_overview(desktop: Page) -> None:
    desktop.goto(OVERVIEW)
    expect(desktop.locator("table.bars").first).to_be_visible()
    assert_sound_at_all_widths(desktop)


# --- storage and archived devices --------------------------------------------------------------


@pytest.mark.usefixtures("fleet")
def test_storage(desktop: Page) -> None:
    desktop.goto(STORAGE)
    expect(desktop.locator("table.kept")).to_be_visible()
    assert_sound_at_all_widths(desktop)


def test_archived_device_and_what_the_list_says_about_it(
    desktop: Page, fleet: list[Device]
) -> None:
    desktop.goto(f"{fleet[0].path}/archive")
    assert_sound_at_all_widths(desktop)
    desktop.get_by_role("button", name="Archive device").click()
    expect(desktop.locator(".pill", has_text="Archived")).to_be_visible()
    assert_sound_at_all_widths(desktop)
    desktop.goto(LIST)
    expect(desktop.locator("#show-archived")).to_be_visible()
    assert_sound_at_all_widths(desktop)
    desktop.goto(f"{fleet[0].path}/unarchive")
    desktop.get_by_role("button", name="Unarchive device").click()


# --- other pages -------------------------------------------------------------------------------


def test_sign_in_with_an_error(open_page: OpenPage) -> None:
    page = open_page(signed_in=False)
    page.goto("/login")
    page.get_by_label("Email").fill("nobody@example.org")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".error").first).to_be_visible()
    assert_sound_at_all_widths(page)


def test_setup_and_empty_pages(bare_server: RealServer, open_page: OpenPage) -> None:
    page = open_page(bare_server)
    page.goto(bare_server.setup_links[0])
    assert_sound_at_all_widths(page)
    set_up(page, bare_server)
    assert_sound_at_all_widths(page)
    page.goto(TOKENS)
    assert_sound_at_all_widths(page)
    page.goto(OVERVIEW)
    assert_sound_at_all_widths(page)


def test_account(desktop: Page) -> None:
    desktop.goto(ACCOUNT)
    assert_sound_at_all_widths(desktop)


def test_error_page(desktop: Page, monitor: Monitor) -> None:
    monitor.expected_statuses.add(404)
    desktop.goto("/nowhere")
    assert_sound_at_all_widths(desktop)


# --- merging -----------------------------------------------------------------------------------


def test_merge(site: Site, desktop: Page, fleet: list[Device]) -> None:
    old = site.device("9c1d4b20-4c0a-4b2e-9b1d-merge0a1b2c", name="Main entrance, spare scanner")
    desktop.goto(f"{fleet[0].path}/merge?q=wide0a")
    expect(desktop.get_by_role("link", name="Choose")).to_have_count(len(fleet) - 1)
    assert_sound_at_all_widths(desktop)
    desktop.goto(f"{fleet[0].path}/merge?q=merge0a")
    desktop.get_by_role("link", name="Choose").click()
    expect(desktop.get_by_role("dialog")).to_contain_text("Becomes an alias")
    assert_sound_at_all_widths(desktop)
    desktop.goto(f"{fleet[1].path}/merge?from={old.id}")
    expect(desktop.get_by_role("main")).to_contain_text("The device stays blocked.")
    assert_sound_at_all_widths(desktop)
    desktop.goto(f"{old.path}/merge?from={fleet[3].id}")
    desktop.get_by_role("button", name="Merge devices").click()
    expect(desktop.locator(old.element)).to_contain_text(fleet[3].identifier)
    assert_sound_at_all_widths(desktop)
    desktop.get_by_role("link", name="Remove the alias").click()
    expect(desktop.get_by_role("dialog")).to_be_visible()
    assert_sound_at_all_widths(desktop)
