"""Everything can be done without a mouse, and the focus is where one expects it."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.actions import expect_said, in_place
from tests.browser.conftest import Visit
from tests.browser.site import LIST, TOKENS, Site

# What is looked at here is the same whatever the database.
pytestmark = pytest.mark.database("sqlite")


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until something has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not lead to {wanted}")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_block_and_think_better_of_unblocking(site: Site, visit: Visit, scripts: bool) -> None:
    page = visit(scripts=scripts)
    device = site.device()
    page.goto(f"{LIST}?name={device.identifier}")
    row = page.locator(device.element)
    tab_to(page, row.get_by_role("button", name="Block"))
    with in_place(page, scripts):
        page.keyboard.press("Enter")
        expect(page.get_by_label("Reason")).to_be_focused()
        page.keyboard.type("Lost on the train")
        page.keyboard.press("Enter")
        expect_said(page, "Blocked")
    assert site.state(device)["block_reason"] == "Lost on the train"

    unblock = row.get_by_role("button", name="Unblock")
    if scripts:
        expect(unblock).to_be_focused()
    else:
        tab_to(page, unblock)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Unblock device")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(unblock).to_be_focused()
    assert site.call(device.identifier) == 403


def test_unblock(site: Site, desk: Page) -> None:
    device = site.device()
    site.block(device)
    desk.goto(f"{LIST}?status=blocked&name={device.identifier}")
    tab_to(desk, desk.get_by_role("button", name=re.compile("^Unblock")))
    for _ in ("ask", "confirm"):
        desk.keyboard.press("Enter")
    expect_said(desk, "Unblocked")
    assert site.call(device.identifier) == 200


def test_rename_in_the_list(site: Site, desk: Page) -> None:
    device = site.device(name="Before")
    desk.goto(f"{LIST}?name={device.identifier}")
    row = desk.locator(device.element)
    pencil = row.get_by_title("Rename", exact=True)
    tab_to(desk, pencil)
    with in_place(desk, scripts=True):
        desk.keyboard.press("Enter")
        expect(row.get_by_label("Name of")).to_be_focused()
        desk.keyboard.type("After")  # what was there is selected, so it goes
        desk.keyboard.press("Enter")
        expect(row.get_by_role("link")).to_have_text("After")
        expect(pencil).to_be_focused()
    assert site.state(device)["name"] == "After"


def test_escape_leaves_the_name_alone(site: Site, desk: Page) -> None:
    device = site.device(name="Before")
    desk.goto(f"{LIST}?name={device.identifier}")
    row = desk.locator(device.element)
    tab_to(desk, row.get_by_title("Rename", exact=True))
    desk.keyboard.press("Enter")
    desk.keyboard.type("After")
    desk.keyboard.press("Escape")
    expect(row.get_by_label("Name of")).to_be_hidden()
    expect(row.get_by_title("Rename", exact=True)).to_be_focused()
    expect(row.get_by_role("link")).to_have_text("Before")
    assert site.state(device)["name"] == "Before"


def test_rename_in_the_details_keeps_the_place(site: Site, desk: Page) -> None:
    device = site.device()
    desk.goto(device.path)
    tab_to(desk, desk.get_by_label("Name of"))
    desk.keyboard.type("After")
    desk.keyboard.press("Enter")
    expect_said(desk, "Saved")
    desk.keyboard.press("Tab")
    expect(desk.get_by_label("Name of After")).to_be_focused()


def test_typing_a_filter_goes_on_while_the_list_changes(site: Site, desk: Page) -> None:
    first, second = site.device("typed-slowly-1"), site.device("typed-slowly-2")
    desk.goto(LIST)
    field = desk.get_by_label("Name or identifier")
    tab_to(desk, field)
    with in_place(desk, scripts=True):
        desk.keyboard.type("typed-slowly", delay=30)
        expect(desk.get_by_text("2 devices found")).to_be_visible()
        expect(field).to_be_focused()
        desk.keyboard.type("-2")
        expect(desk.locator(first.element)).to_have_count(0)
        expect(desk.locator(second.element)).to_be_visible()
        expect(field).to_have_value("typed-slowly-2")
        expect(desk).to_have_url(re.compile("name=typed-slowly-2"))


def test_arrows_choose_a_status(site: Site, desk: Page) -> None:
    device = site.device()
    site.block(device)
    desk.goto(f"{LIST}?name={device.identifier}")
    tab_to(desk, desk.get_by_label("All"))
    with in_place(desk, scripts=True):
        desk.keyboard.press("ArrowRight")
        expect(desk.get_by_label("Hide blocked")).to_be_focused()
        expect(desk.locator(device.element)).to_have_count(0)
        desk.keyboard.press("ArrowRight")
        expect(desk.get_by_label("Only blocked")).to_be_focused()
        expect(desk.locator(device.element)).to_be_visible()


def test_the_frame_can_be_skipped(site: Site, desk: Page) -> None:
    device = site.device()
    desk.goto(device.path)
    desk.keyboard.press("Tab")
    skip = desk.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    desk.keyboard.press("Enter")
    desk.keyboard.press("Tab")
    expect(desk.get_by_role("main").get_by_role("link").first).to_be_focused()


def test_create_and_revoke_a_token(site: Site, desk: Page) -> None:
    desk.goto(TOKENS)
    tab_to(desk, desk.get_by_role("textbox", name="Name"))
    desk.keyboard.type("by keyboard")
    desk.keyboard.press("Enter")
    expect(desk.get_by_role("heading", name="Copy your new token")).to_be_focused()
    token = desk.get_by_label("the token", exact=True).inner_text()
    assert site.call("keyboard", token=token) == 200
    tab_to(desk, desk.get_by_role("button", name="Revoke by keyboard"))
    desk.keyboard.press("Enter")
    expect(desk.get_by_role("dialog").locator(":focus")).to_be_visible()
    desk.get_by_role("button", name="Revoke token").press("Enter")
    expect_said(desk, "Revoked")
    assert site.call("keyboard", token=token) == 401
