"""The first visit: from the setup link to the first device."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from harness.real_server import RealServer
from tests.browser.actions import expect_status, open_dialog, set_up, without_page_load
from tests.browser.conftest import IN_EVERY_WINDOW, OpenPage
from tests.browser.site import LIST
from tests.conftest import DEVICE, as_device

pytestmark = pytest.mark.database("sqlite")


@IN_EVERY_WINDOW
def test_setup_link_leads_to_the_first_device(
    bare_server: RealServer, open_page: OpenPage, kind: tuple[int, bool], scripts: bool
) -> None:
    page = open_page(bare_server, width=kind[0], scripts=scripts)
    set_up(page, bare_server)
    expect_status(page, "Your account is ready.")

    expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
    page.get_by_role("button", name="Create token").click()
    token = page.get_by_label("API token", exact=True).inner_text()
    page.goto(LIST)
    expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
    with without_page_load(page, scripts):
        headers = as_device(token, "my-first-device")
        assert bare_server.call("GET", DEVICE, headers).status == 200
        if not scripts:
            page.get_by_role("link", name="Check now").click()
        expect(page.get_by_role("link", name="my-first-device", exact=True)).to_be_visible()
    expect(page.get_by_label("Name or identifier")).to_be_visible()
    open_dialog(page, page.locator("tr", has_text="my-first-device"), "Block", scripts=scripts)


def test_polling_without_devices_keeps_the_page_and_its_focus(
    bare_server: RealServer, open_page: OpenPage
) -> None:
    page = open_page(bare_server)
    set_up(page, bare_server)
    button = page.get_by_role("button", name="Create token")
    button.focus()
    with page.expect_response(lambda response: urlsplit(response.url).path == LIST):
        pass  # the page polls without any action
    expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
    expect(button).to_be_focused()
