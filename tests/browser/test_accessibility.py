"""Accessibility rules: every page, every state, light and dark, wide and narrow."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from harness.real_server import RealServer, wait_until
from tests.browser.actions import ask, set_up
from tests.browser.conftest import DESK, PHONE, Visit, Watch
from tests.browser.site import ACCOUNT, LIST, TOKENS, Site

# What is looked at here is the same whatever the database.
pytestmark = pytest.mark.database("sqlite")

OPTIONS = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}


def assert_accessible(page: Page) -> None:
    """Assert that no rule is broken, in either colour scheme and at either width."""
    for width in (DESK, PHONE):
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            results = Axe().run(page, options=OPTIONS)
            assert results.violations_count == 0, f"{width} {scheme} {results.generate_report()}"


@pytest.fixture(scope="module")
def all_kinds(site: Site) -> str:
    """The address of a list of all kinds of devices."""
    site.device("axe-named", name="Main Entrance", application="Box Office", model="iPad 9")
    site.device("axe-plain")
    site.device("axe-جهاز", name="جهاز")
    site.block(site.device("axe-blocked", name="Lost", manufacturer="Apple"))
    return f"{LIST}?name=axe-"


# --- without an account ------------------------------------------------------------------------


def test_the_first_pages(bare_server: RealServer, visit: Visit, watch: Watch) -> None:
    watch.expected.add(422)
    page = visit(bare_server)
    page.goto("/login")
    expect(page.get_by_text("There is no account yet.")).to_be_visible()
    assert_accessible(page)
    page.goto(bare_server.setup_links[0])
    assert_accessible(page)
    page.get_by_label("E-mail").fill("ann at home")
    page.locator("form").evaluate("form => form.noValidate = true")
    page.get_by_label("Password", exact=True).fill("long enough")
    page.get_by_label("Password again").fill("not the same")
    page.get_by_role("button", name="Create account").click()
    expect(page.locator(".error").first).to_be_visible()
    assert_accessible(page)
    set_up(page, bare_server)
    assert_accessible(page)


def test_signing_in(visit: Visit) -> None:
    page = visit(signed_in=False)
    page.goto("/login")
    assert_accessible(page)
    page.get_by_label("E-mail").fill("ann@example.org")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".error").first).to_be_visible()
    assert_accessible(page)


# --- the list ----------------------------------------------------------------------------------


def test_the_list(desk: Page, all_kinds: str) -> None:
    desk.goto(all_kinds)
    expect(desk.get_by_text("4 devices found")).to_be_visible()
    assert_accessible(desk)


def test_pages_of_the_list(site: Site, desk: Page) -> None:
    for number in range(52):
        site.call(f"axe-page-{number}")
    desk.goto(f"{LIST}?name=axe-page")
    desk.get_by_role("link", name="Older").click()
    expect(desk.get_by_role("link", name="Newer")).to_be_visible()
    assert_accessible(desk)


def test_no_match(desk: Page, all_kinds: str) -> None:
    desk.goto(f"{all_kinds}nothing")
    expect(desk.get_by_role("heading", name="No device matches")).to_be_visible()
    assert_accessible(desk)


def test_renaming_in_the_list(site: Site, desk: Page, watch: Watch) -> None:
    watch.expected.add(422)
    device = site.device()
    desk.goto(f"{LIST}?name={device.identifier}")
    row = desk.locator(device.element)
    row.get_by_title("Rename", exact=True).click()
    assert_accessible(desk)
    row.get_by_label("Name of").fill("x" * 256)
    row.get_by_role("button", name="Save").click()
    expect(row.locator(".error")).to_be_visible()
    assert_accessible(desk)


def test_blocking_in_the_list(site: Site, desk: Page) -> None:
    device = site.device()
    desk.goto(f"{LIST}?name={device.identifier}")
    row = desk.locator(device.element)
    question = ask(desk, row, "Block")
    assert_accessible(desk)
    question.get_by_role("button", name="Block device").click()
    expect(desk.get_by_role("status")).to_contain_text("Blocked")
    assert_accessible(desk)
    ask(desk, row, "Unblock")
    assert_accessible(desk)


# --- the other pages ---------------------------------------------------------------------------


def test_details(site: Site, desk: Page) -> None:
    device = site.device("axe-details", application="Box Office", application_version="1", os="iOS")
    site.call(device.identifier, application_version="2")
    site.upload(device.identifier)
    desk.goto(device.path)
    assert_accessible(desk)
    site.block(device)
    site.call(device.identifier)
    wait_until(lambda: site.state(device)["denied_count"])
    desk.reload()
    expect(desk.get_by_text("Denied requests")).to_be_visible()
    assert_accessible(desk)
    desk.goto(f"{device.path}/history")
    assert_accessible(desk)


def test_tokens(site: Site, desk: Page, watch: Watch) -> None:
    watch.expected.add(422)
    desk.goto(TOKENS)
    desk.get_by_role("textbox", name="Name").fill("axe")
    desk.get_by_role("button", name="Create token").click()
    expect(desk.get_by_role("heading", name="Copy your new token")).to_be_visible()
    assert_accessible(desk)
    ask(desk, desk.locator("tr").filter(has_text="axe"), "Revoke")
    assert_accessible(desk)
    desk.get_by_role("button", name="Revoke token").click()
    expect(desk.locator("tr").filter(has_text="axe")).to_contain_text("Revoked")
    desk.get_by_role("textbox", name="Name").fill("past")
    desk.get_by_label("Expires").fill("2020-01-01")
    desk.get_by_role("button", name="Create token").click()
    expect(desk.locator(".error").first).to_be_visible()
    assert_accessible(desk)


def test_the_account(desk: Page) -> None:
    desk.goto(ACCOUNT)
    assert_accessible(desk)
    desk.get_by_label("Current password").fill("not the password")
    desk.get_by_label("New password", exact=True).fill("long enough")
    desk.get_by_label("New password again").fill("not the same")
    desk.get_by_role("button", name="Change password").click()
    expect(desk.locator(".error").first).to_be_visible()
    assert_accessible(desk)


def test_an_error_page(desk: Page, watch: Watch) -> None:
    watch.expected.add(404)
    desk.goto("/nowhere")
    assert_accessible(desk)


def test_what_did_not_get_through(site: Site, desk: Page, watch: Watch) -> None:
    watch.may_fail = True
    desk.goto(f"{LIST}?name={site.device().identifier}")
    desk.context.set_offline(True)
    desk.get_by_label("Name or identifier").fill("phone")
    expect(desk.get_by_role("status")).not_to_be_empty()
    assert_accessible(desk)
