"""Creating, copying and revoking tokens."""

from playwright.sync_api import Page, expect

from tests.browser.actions import expect_status, open_dialog, without_page_load
from tests.browser.conftest import DESKTOP, IN_EVERY_WINDOW, Monitor
from tests.browser.site import TOKENS, Site


@IN_EVERY_WINDOW
def test_token_can_be_created_and_revoked(
    site: Site, page: Page, kind: tuple[int, bool], scripts: bool
) -> None:
    name = f"ticket scan {kind}"
    page.goto(TOKENS)
    with without_page_load(page, scripts):
        page.get_by_role("textbox", name="Name").fill(name)
        page.get_by_label("devices:read").check()
        page.get_by_role("button", name="Create token").click()
        expect_status(page, f"The token “{name}” was created.")
        token = page.get_by_label("API token", exact=True).inner_text()
    if scripts:
        expect(page.get_by_role("heading", name="Your new token")).to_be_focused()
    assert site.call("scanner", token=token) == 200

    page.goto(TOKENS)
    expect(page.get_by_text(token)).to_have_count(0)
    rows = page.get_by_role("row") if kind[0] == DESKTOP else page.locator("tr")
    row = rows.filter(has_text=name)
    with without_page_load(page, scripts):
        dialog = open_dialog(page, row, "Revoke", scripts=scripts)
        expect(dialog).to_contain_text("This can't be undone.")
        dialog.get_by_role("button", name="Revoke token").click()
        expect_status(page, f"The token “{name}” is revoked.")
        expect(row).to_contain_text("Revoked")
    assert site.call("scanner", token=token) == 401
    if scripts:
        expect(page.get_by_role("heading", name="Tokens", exact=True)).to_be_focused()


def test_copy_button_copies_the_token(site: Site, desktop: Page) -> None:
    desktop.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desktop.goto(TOKENS)
    desktop.get_by_role("textbox", name="Name").fill("clipboard")
    desktop.get_by_role("button", name="Create token").click()
    desktop.get_by_role("button", name="Copy API token").click()
    expect_status(desktop, "Copied to the clipboard.")
    copied = desktop.evaluate("navigator.clipboard.readText()")
    assert site.call("copied", token=copied) == 200


def test_copy_button_selects_the_token_without_a_clipboard(desktop: Page) -> None:
    desktop.goto(TOKENS)
    desktop.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    desktop.get_by_role("textbox", name="Name").fill("no clipboard")
    desktop.get_by_role("button", name="Create token").click()
    desktop.get_by_role("button", name="Copy API token").click()
    expect_status(desktop, "Ctrl")
    token = desktop.get_by_label("API token", exact=True).inner_text()
    assert desktop.evaluate("getSelection().toString().trim()") == token


def test_rejected_token_form_keeps_the_input_and_focuses_the_invalid_field(
    desktop: Page, monitor: Monitor
) -> None:
    monitor.expected_statuses.add(422)
    desktop.goto(TOKENS)
    with without_page_load(desktop):
        desktop.get_by_role("textbox", name="Name").fill("yesterday's")
        desktop.get_by_label("Expires").fill("2020-01-01")
        desktop.get_by_role("button", name="Create token").click()
        expect(desktop.get_by_text("The expiry date is in the past.")).to_be_visible()
        expect(desktop.get_by_label("Expires")).to_be_focused()
        expect(desktop.get_by_role("textbox", name="Name")).to_have_value("yesterday's")
