"""What fits where: nothing runs out of a phone's screen, and a thumb hits what it aims at."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from harness.real_server import RealServer
from tests.browser.actions import ask, set_up
from tests.browser.conftest import DESK, PHONE, Visit
from tests.browser.site import ACCOUNT, LIST, TOKENS, Device, Site

# What is looked at here is the same whatever the database.
pytestmark = pytest.mark.database("sqlite")

THUMB = 44

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
    """A device whose every value is as long as can be, without a space."""
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
def phone(visit: Visit) -> Page:
    """A phone on the shared site."""
    return visit(width=PHONE)


def assert_fits(page: Page) -> None:
    """Assert that nothing sticks out of the screen, save what scrolls by itself."""
    sticking_out = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
            .filter(element => element.checkVisibility({visibilityProperty: true}))
            .filter(element => !element.closest(".visually-hidden, .skip, pre"))
            .filter(element => element.getBoundingClientRect().right > screen.width + 0.5)
            .map(element => element.outerHTML.slice(0, 80))"""
    )
    assert sticking_out == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE


# --- the screen of a phone ---------------------------------------------------------------------


@pytest.mark.usefixtures("long_device", "arabic_device")
@pytest.mark.parametrize(
    "path",
    [LIST, f"{LIST}?name={'q' * 255}", f"{LIST}?name=W", TOKENS, ACCOUNT, "/nowhere"],
    ids=["list", "no match", "long names", "tokens", "account", "error"],
)
def test_a_page_fits_on_a_phone(phone: Page, path: str, watch_404: None) -> None:
    phone.goto(path)
    assert_fits(phone)


@pytest.fixture
def watch_404(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("watch").expected.add(404)


@pytest.mark.parametrize("device", ["long_device", "arabic_device"])
def test_details_fit_on_a_phone(phone: Page, device: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(device).path
    for below in ("", "/history"):
        phone.goto(path + below)
        assert_fits(phone)


@pytest.mark.parametrize("device", ["long_device", "arabic_device"])
def test_what_opens_in_a_row_fits_on_a_phone(
    phone: Page, device: str, request: pytest.FixtureRequest
) -> None:
    found = request.getfixturevalue(device)
    phone.goto(LIST)
    row = phone.locator(found.element)
    row.get_by_title("Rename", exact=True).click()
    expect(row.get_by_label("Name of")).to_be_visible()
    assert_fits(phone)
    row.get_by_role("button", name="lock").last.click()
    question = phone.get_by_role("dialog")
    expect(question).to_be_in_viewport()
    assert_fits(phone)
    for button in question.get_by_role("button").all():
        expect(button).to_be_in_viewport(ratio=1)


def test_what_is_said_fits_on_a_phone(phone: Page, long_device: Device) -> None:
    phone.goto(long_device.path)
    phone.get_by_role("button", name="Save").click()
    expect(phone.get_by_role("status")).to_contain_text("Saved")
    assert_fits(phone)


def test_a_new_token_fits_on_a_phone(phone: Page) -> None:
    phone.goto(TOKENS)
    phone.get_by_role("textbox", name="Name").fill("N" * 255)
    phone.get_by_role("button", name="Create token").click()
    expect(phone.get_by_role("heading", name="Copy your new token")).to_be_visible()
    assert_fits(phone)


def test_the_first_pages_fit_on_a_phone(bare_server: RealServer, visit: Visit) -> None:
    page = visit(bare_server, width=PHONE)
    for path in ("/login", bare_server.setup_links[0]):
        page.goto(path)
        assert_fits(page)
    set_up(page, bare_server)
    assert_fits(page)


def test_hardware_is_left_out_on_a_phone(site: Site, visit: Visit) -> None:
    device = site.device(manufacturer="Apple", model="iPad 9")
    for width in (DESK, PHONE):
        page = visit(width=width)
        page.goto(f"{LIST}?name={device.identifier}")
        expect(page.locator(device.element)).to_be_visible()
        expect(page.get_by_text("Apple iPad 9")).to_be_visible(visible=width == DESK)


# --- the thumb ---------------------------------------------------------------------------------


def assert_hit_by_a_thumb(place: Locator) -> None:
    box = place.bounding_box()
    assert box is not None
    assert box["width"] >= THUMB
    assert box["height"] >= THUMB


@pytest.mark.parametrize(
    "action",
    [
        lambda row: row.get_by_title("Rename", exact=True),
        lambda row: row.get_by_role("button", name="Block"),
    ],
    ids=["rename", "block"],
)
def test_actions_of_a_row_are_large_enough(
    site: Site, phone: Page, action: Callable[[Locator], Locator]
) -> None:
    device = site.device()
    phone.goto(LIST)
    assert_hit_by_a_thumb(action(phone.locator(device.element)))


def test_what_follows_an_action_is_large_enough(site: Site, phone: Page) -> None:
    device = site.device()
    phone.goto(LIST)
    row = phone.locator(device.element)
    row.get_by_title("Rename", exact=True).click()
    assert_hit_by_a_thumb(row.get_by_label("Name of"))
    assert_hit_by_a_thumb(row.get_by_role("button", name="Save"))
    for button in ask(phone, row, "Block").get_by_role("button").all():
        assert_hit_by_a_thumb(button)


def test_filters_are_large_enough(site: Site, phone: Page) -> None:
    site.device()
    phone.goto(LIST)
    assert_hit_by_a_thumb(phone.get_by_label("Name or identifier"))
    for label in ("All", "Hide blocked", "Only blocked"):
        assert_hit_by_a_thumb(phone.locator("label").filter(has_text=label))


def test_the_name_leads_to_the_details_by_touch(site: Site, phone: Page) -> None:
    device = site.device()
    phone.goto(LIST)
    phone.locator(device.element).get_by_role("link").tap()
    expect(phone.locator(f"article{device.element}")).to_be_visible()
