"""Sign-in, sign-out and the navigation."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import IN_EVERY_WINDOW, OpenPage, sign_in
from tests.browser.site import ACCOUNT, ANN, BOB, LIST, TOKENS

pytestmark = pytest.mark.database("sqlite")


@IN_EVERY_WINDOW
def test_user_can_sign_in_and_out(
    open_page: OpenPage, kind: tuple[int, bool], scripts: bool
) -> None:
    page = open_page(width=kind[0], scripts=scripts, signed_in=False)
    page.goto(TOKENS)
    expect(page).to_have_url(re.compile("/login"))
    sign_in(page, BOB)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(LIST)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@IN_EVERY_WINDOW
def test_wrong_password_shows_an_error(
    open_page: OpenPage, kind: tuple[int, bool], scripts: bool
) -> None:
    page = open_page(width=kind[0], scripts=scripts, signed_in=False)
    page.goto("/login")
    page.get_by_label("Email").fill(ANN)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".error")).to_be_visible()
    expect(page.get_by_label("Email")).to_have_value(ANN)
    expect(page.get_by_label("Password")).to_be_focused()


def test_navigation_links_to_every_settings_page(desktop: Page) -> None:
    desktop.goto(LIST)
    settings = desktop.get_by_role("navigation", name="Settings")
    for name, path in (("API Tokens", TOKENS), ("Account", ACCOUNT), ("API Devices", LIST)):
        settings.get_by_role("link", name=name).click()
        expect(desktop).to_have_url(re.compile(f"{path}$"))
        expect(desktop.get_by_role("heading", level=1)).to_have_text(name)
        expect(settings.locator("[aria-current=page]")).to_have_text(name)
