"""Creating, copying and revoking tokens."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.actions import (
    create_token,
    expect_status,
    open_dialog,
    open_token_form,
    without_page_load,
)
from tests.browser.conftest import IN_EVERY_WINDOW, Monitor, OpenPage
from tests.browser.site import ANN, TOKENS, Site

pytestmark = pytest.mark.database("sqlite")


@IN_EVERY_WINDOW
def test_token_can_be_created_and_revoked(
    site: Site, page: Page, kind: tuple[int, bool], scripts: bool
) -> None:
    name = f"ticket scan {kind}"
    form = open_token_form(page, scripts=scripts)
    with without_page_load(page, scripts):
        form.get_by_role("textbox", name="Name").fill(name)
        form.get_by_label("In 30 days").check()
        form.get_by_text("Scopes and limits").click()
        form.get_by_label("devices:read").check()
        form.get_by_role("button", name="Create token").click()
        expect_status(page, f"The token “{name}” was created.")
        token = page.get_by_label("API token", exact=True).inner_text()
    if scripts:
        expect(page.get_by_role("heading", name="Your new token")).to_be_focused()
    assert site.call("scanner", token=token) == 200

    page.goto(TOKENS)
    expect(page.get_by_text(token)).to_have_count(0)
    row = page.locator("tr").filter(has_text=name)
    for fact in ("Expires", "devices:read", f"by {ANN}"):
        expect(row).to_contain_text(fact)
    with without_page_load(page, scripts):
        dialog = open_dialog(page, row, "Revoke", scripts=scripts)
        expect(dialog).to_contain_text("This can't be undone.")
        dialog.get_by_role("button", name="Revoke token").click()
        expect_status(page, f"The token “{name}” is revoked.")
        expect(row).to_contain_text("Revoked")
    assert site.call("scanner", token=token) == 401
    if scripts:
        expect(page.get_by_role("heading", name="Active")).to_be_focused()


def test_copy_button_copies_the_token(site: Site, desktop: Page) -> None:
    desktop.context.grant_permissions(["clipboard-read", "clipboard-write"])
    create_token(desktop, "clipboard")
    desktop.get_by_role("button", name="Copy API token").click()
    expect_status(desktop, "Copied to the clipboard.")
    copied = desktop.evaluate("navigator.clipboard.readText()")
    assert site.call("copied", token=copied) == 200


def test_copy_button_selects_the_token_without_a_clipboard(desktop: Page) -> None:
    token = create_token(desktop, "no clipboard")
    desktop.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    desktop.get_by_role("button", name="Copy API token").click()
    expect_status(desktop, "Ctrl")
    assert desktop.evaluate("getSelection().toString().trim()") == token


def test_rejected_token_form_keeps_the_input_and_focuses_the_invalid_field(
    desktop: Page, monitor: Monitor
) -> None:
    monitor.expected_statuses.add(422)
    dialog = open_token_form(desktop)
    with without_page_load(desktop):
        dialog.get_by_role("textbox", name="Name").fill("yesterday's")
        dialog.get_by_label("On a date").check()
        dialog.get_by_label("Date", exact=True).fill("2020-01-01")
        dialog.get_by_role("button", name="Create token").click()
        expect(dialog.get_by_text("The expiry date is in the past.")).to_be_visible()
        expect(dialog.get_by_label("Date", exact=True)).to_be_focused()
        expect(dialog.get_by_role("textbox", name="Name")).to_have_value("yesterday's")


def test_date_field_is_shown_for_a_date_only(open_page: OpenPage) -> None:
    page = open_page(scripts=False)
    form = open_token_form(page, scripts=False)
    date = form.get_by_label("Date", exact=True)
    expect(date).to_be_hidden()
    form.get_by_label("On a date").check()
    expect(date).to_be_visible()
