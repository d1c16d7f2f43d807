"""Layout: nothing overflows, columns stay readable, and touch targets are large enough."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from harness.real_server import RealServer
from tests.browser.actions import (
    create_token,
    open_dialog,
    open_menu,
    open_rename,
    set_up,
)
from tests.browser.conftest import DESKTOP, PHONE, Monitor, OpenPage
from tests.browser.site import ACCOUNT, LIST, LOG, OVERVIEW, TOKENS, Device, Site

# The pages look the same with every database.
pytestmark = pytest.mark.database("sqlite")

TOUCH_TARGET = 44  # pixels

LONG = {
    "application": "A" * 255,
    "application_version": "9" * 255,
    "os": "O" * 255,
    "manufacturer": "M" * 255,
    "model": "D" * 255,
}
ARABIC = "جهاز شباك التذاكر الرئيسي رقم ٣"


@pytest.fixture(scope="module")
def long_device(site: Site) -> Device:
    """A device whose values all have the maximum length, without a space."""
    device = site.device("i" * 255, name="W" * 255, **LONG)
    site.call("i" * 255, application="B" * 255)
    site.upload("i" * 255)
    site.block(device, reason="R" * 1000)
    site.server.create_token("T" * 255, "devices:read", "devices:write")
    return device


@pytest.fixture(scope="module")
def arabic_device(site: Site) -> Device:
    return site.device("مقبض-١", name=ARABIC, application="تطبيق", model="لوح")


@pytest.fixture
def phone(open_page: OpenPage) -> Page:
    """A page on the shared site, in a window of phone size."""
    return open_page(width=PHONE)


def assert_fits(page: Page) -> None:
    """Assert that no element overflows the screen, except inside ``pre`` and tabs, which scroll."""
    overflowing = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
            .filter(element => element.checkVisibility({visibilityProperty: true}))
            .filter(element => !element.closest(".visually-hidden, .skip, pre, .frame > nav"))
            .filter(element => element.getBoundingClientRect().right > screen.width + 0.5)
            .map(element => element.outerHTML.slice(0, 80))"""
    )
    assert overflowing == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE


# --- overflow ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("long_device", "arabic_device")
@pytest.mark.parametrize(
    "path",
    [
        LIST,
        f"{LIST}?name={'q' * 255}",
        f"{LIST}?name=W",
        TOKENS,
        LOG,
        OVERVIEW,
        ACCOUNT,
        "/nowhere",
    ],
    ids=[
        "list",
        "empty result",
        "long names",
        "tokens",
        "audit log",
        "overview",
        "account",
        "error",
    ],
)
@pytest.mark.usefixtures("expect_404")
def test_page_fits_on_a_phone(phone: Page, path: str) -> None:
    phone.goto(path)
    assert_fits(phone)


@pytest.fixture
def expect_404(monitor: Monitor) -> None:
    monitor.expected_statuses.add(404)


@pytest.mark.parametrize("device", ["long_device", "arabic_device"])
def test_device_page_fits_on_a_phone(
    phone: Page, device: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(device).path
    for suffix in ("", "/history"):
        phone.goto(path + suffix)
        assert_fits(phone)


@pytest.mark.parametrize("device", ["long_device", "arabic_device"])
def test_rename_form_and_dialog_fit_on_a_phone(
    phone: Page, device: str, request: pytest.FixtureRequest
) -> None:
    found = request.getfixturevalue(device)
    phone.goto(LIST)
    row = phone.locator(found.element)
    open_rename(row)
    expect(row.get_by_label("Name of")).to_be_visible()
    assert_fits(phone)
    open_menu(row)
    row.get_by_role("link", name="lock").last.click()
    dialog = phone.get_by_role("dialog")
    expect(dialog).to_be_in_viewport()
    assert_fits(phone)
    for button in dialog.get_by_role("button").all():
        expect(button).to_be_in_viewport(ratio=1)


def test_dialog_scrolls_on_a_short_screen(phone: Page, arabic_device: Device) -> None:
    phone.set_viewport_size({"width": 320, "height": 256})
    phone.goto(arabic_device.path)
    dialog = open_dialog(phone, phone.locator("article"), "Block")
    for part in (dialog.get_by_role("heading"), dialog.get_by_role("button").last):
        part.scroll_into_view_if_needed()
        expect(part).to_be_in_viewport(ratio=1)


def test_status_message_fits_on_a_phone(phone: Page, long_device: Device) -> None:
    phone.goto(long_device.path)
    open_rename(phone.locator("article"))
    phone.get_by_role("button", name="Save").click()
    expect(phone.locator("#apidevices-status")).to_contain_text("The device is now named")
    assert_fits(phone)


def test_new_token_fits_on_a_phone(phone: Page) -> None:
    create_token(phone, "N" * 255)
    expect(phone.get_by_role("heading", name="Your new token")).to_be_visible()
    assert_fits(phone)


def test_login_setup_and_empty_list_fit_on_a_phone(
    bare_server: RealServer, open_page: OpenPage
) -> None:
    page = open_page(bare_server, width=PHONE)
    for path in ("/login", bare_server.setup_links[0]):
        page.goto(path)
        assert_fits(page)
    set_up(page, bare_server)
    assert_fits(page)


def test_list_has_more_columns_on_a_wider_screen(site: Site, desktop: Page) -> None:
    device = site.device(application="Box Office", manufacturer="Apple", model="iPad 9", os="iOS")
    desktop.goto(f"{LIST}?name={device.identifier}")
    shown = []
    for width in (700, 800, 1280, 1920):
        desktop.set_viewport_size({"width": width, "height": 800})
        shown.append(desktop.locator("#devices th:visible").count())
    assert shown == [5, 6, 8, 9]
    for column in ("Name", "Status", "Last activity"):
        desktop.set_viewport_size({"width": 700, "height": 800})
        expect(desktop.get_by_role("columnheader", name=column)).to_be_visible()


def test_status_stands_on_one_line_with_the_other_facts(
    desktop: Page, arabic_device: Device
) -> None:
    desktop.goto(arabic_device.path)
    bottoms = desktop.locator(".lead dd").evaluate_all(
        """facts => facts.slice(0, 2).map(fact => {
            const range = document.createRange();
            range.selectNodeContents(fact.firstElementChild.firstChild);
            return range.getBoundingClientRect().bottom;
        })"""
    )
    assert bottoms == [pytest.approx(bottoms[0], abs=0.5)] * 2


# --- columns -----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [721, 960, 961, 1152, 1153, DESKTOP])
def test_name_column_is_wide_enough_at_every_table_width(
    site: Site, desktop: Page, width: int
) -> None:
    device = site.device()
    desktop.set_viewport_size({"width": width, "height": 800})
    desktop.goto(f"{LIST}?name={device.identifier}")
    box = desktop.locator(device.element).locator("td.name").bounding_box()
    assert box is not None
    assert box["width"] >= 190


# --- touch targets -----------------------------------------------------------------------------


def assert_touch_target(element: Locator) -> None:
    box = element.bounding_box()
    assert box is not None
    assert box["width"] >= TOUCH_TARGET
    assert box["height"] >= TOUCH_TARGET


@pytest.mark.parametrize(
    "action",
    [
        lambda row: row.locator("summary"),
        lambda row: row.get_by_role("link", name="Rename"),
        lambda row: row.get_by_role("link", name="Block"),
    ],
    ids=["menu", "rename", "block"],
)
def test_touch_targets_in_list_rows_are_large_enough(
    site: Site, phone: Page, action: Callable[[Locator], Locator]
) -> None:
    device = site.device()
    phone.goto(LIST)
    row = phone.locator(device.element)
    open_menu(row)
    assert_touch_target(action(row))


def test_touch_targets_in_rename_form_and_dialog_are_large_enough(site: Site, phone: Page) -> None:
    device = site.device()
    phone.goto(LIST)
    row = phone.locator(device.element)
    open_rename(row)
    assert_touch_target(row.get_by_label("Name of"))
    assert_touch_target(row.get_by_role("button", name="Save"))
    for button in open_dialog(phone, row, "Block").get_by_role("button").all():
        assert_touch_target(button)


def test_touch_targets_of_filters_are_large_enough(site: Site, phone: Page) -> None:
    site.device()
    phone.goto(LIST)
    assert_touch_target(phone.get_by_label("Name or identifier"))
    tools = phone.locator("#list-tools")
    for target in tools.locator(":scope > a, nav > a, summary").all():
        assert_touch_target(target)


def test_search_has_room_on_a_phone_and_moves_nothing(site: Site, phone: Page) -> None:
    site.device()
    phone.goto(LIST)
    search, button = phone.get_by_label("Name or identifier"), phone.locator("#add-filter")
    before = button.bounding_box()
    search.tap()
    assert search.evaluate("search => search.offsetWidth") > 240
    assert button.bounding_box() == before
    button.tap()
    expect(phone.get_by_role("dialog", name="Filter devices")).to_be_visible()


def test_tapping_a_name_opens_the_device_page(site: Site, phone: Page) -> None:
    device = site.device()
    phone.goto(LIST)
    phone.locator(device.element).get_by_role("link").first.tap()
    expect(phone.locator(f"article{device.element}")).to_be_visible()
