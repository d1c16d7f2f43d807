"""What a page says when something goes wrong while it is open."""

import re

import pytest
from playwright.sync_api import Page, expect

from harness.real_server import RealServer
from tests.browser.actions import ask, expect_said, in_place, open_list, set_up
from tests.browser.conftest import Visit, Watch, sign_in
from tests.browser.site import BOB, LIST, Site
from tests.conftest import DEVICE, as_device

NO_ANSWER = "The server did not answer."


@pytest.fixture
def bobs(visit: Visit) -> Page:
    """A window in which somebody is signed in who may sign out."""
    page = visit(signed_in=False)
    sign_in(page, BOB)
    return page


def sign_out_elsewhere(page: Page) -> Page:
    """Sign out in another tab of the same browser, and return the tab."""
    other = page.context.new_page()
    other.goto(LIST)
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    return other


# --- no network --------------------------------------------------------------------------------


def test_a_block_that_does_not_get_through_is_told(site: Site, desk: Page, watch: Watch) -> None:
    watch.may_fail = True
    device = site.device()
    row = open_list(desk, device)
    question = ask(desk, row, "Block")
    with in_place(desk, scripts=True):
        desk.context.set_offline(True)
        question.get_by_role("button", name="Block device").click()
        expect_said(desk, NO_ANSWER)
        expect(row).not_to_contain_text("Blocked")
        assert site.state(device)["status"] == "active"
        desk.context.set_offline(False)
        question.get_by_role("button", name="Block device").click()
        expect(row).to_contain_text("Blocked")
    assert site.state(device)["status"] == "blocked"


def test_a_name_that_does_not_get_through_stays_typed(site: Site, desk: Page, watch: Watch) -> None:
    watch.may_fail = True
    device = site.device(name="Before")
    row = open_list(desk, device)
    row.get_by_title("Rename", exact=True).click()
    desk.context.set_offline(True)
    row.get_by_label("Name of").fill("After")
    row.get_by_role("button", name="Save").click()
    expect_said(desk, NO_ANSWER)
    expect(row.get_by_label("Name of")).to_have_value("After")
    assert site.state(device)["name"] == "Before"


def test_a_filter_that_does_not_get_through_leaves_the_list(
    site: Site, desk: Page, watch: Watch
) -> None:
    watch.may_fail = True
    device = site.device()
    row = open_list(desk, device)
    desk.context.set_offline(True)
    desk.get_by_label("Name or identifier").fill("no such device")
    expect_said(desk, NO_ANSWER)
    expect(row).to_be_visible()


def test_a_server_that_is_gone_is_told(bare_server: RealServer, visit: Visit, watch: Watch) -> None:
    watch.may_fail = True
    page = visit(bare_server)
    set_up(page, bare_server)
    token = bare_server.create_token()
    assert bare_server.call("GET", DEVICE, as_device(token, "phone-1")).status == 200
    page.reload()
    row = page.get_by_role("row").filter(has_text="phone-1")
    question = ask(page, row, "Block")
    bare_server.stop()
    question.get_by_role("button", name="Block device").click()
    expect_said(page, NO_ANSWER)
    expect(row).not_to_contain_text("Blocked")


# --- a session that ended ----------------------------------------------------------------------


def test_whose_session_ended_signs_in_and_is_back(site: Site, bobs: Page, watch: Watch) -> None:
    watch.expected.add(401)
    device = site.device()
    bobs.goto(f"{LIST}?name={device.identifier}")
    sign_out_elsewhere(bobs)
    question = ask(bobs, bobs.locator(device.element), "Block")
    question.get_by_role("button", name="Block device").click()
    expect(bobs.get_by_role("heading", name="Sign in")).to_be_visible()
    assert site.state(device)["status"] == "active"
    sign_in(bobs, BOB, here=True)
    expect(bobs).to_have_url(re.compile(rf"{LIST}\?name={device.identifier}$"))
    expect(bobs.locator(device.element)).to_be_visible()


def test_whose_session_ended_signs_in_to_filter(site: Site, bobs: Page, watch: Watch) -> None:
    watch.expected.add(401)
    open_list(bobs, site.device())
    sign_out_elsewhere(bobs)
    bobs.get_by_label("Name or identifier").fill("phone")
    expect(bobs.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_page_from_an_earlier_session_says_to_reload(
    site: Site, bobs: Page, watch: Watch
) -> None:
    watch.expected.add(400)
    device = site.device()
    row = open_list(bobs, device)
    sign_in(sign_out_elsewhere(bobs), BOB)
    with in_place(bobs, scripts=True):
        question = ask(bobs, row, "Block")
        question.get_by_role("button", name="Block device").click()
        expect_said(bobs, "Reload it and try again.")
        expect(row).not_to_contain_text("Blocked")
    assert site.state(device)["status"] == "active"


# --- somebody else was faster ------------------------------------------------------------------


def test_a_device_that_is_blocked_already_shows_so(site: Site, desk: Page) -> None:
    device = site.device()
    row = open_list(desk, device)
    site.block(device, reason="First")
    question = ask(desk, row, "Block")
    question.get_by_label("Reason").fill("Second")
    question.get_by_role("button", name="Block device").click()
    expect(row).to_contain_text("Blocked")
    assert site.state(device)["block_reason"] == "First"
