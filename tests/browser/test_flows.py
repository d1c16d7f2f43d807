"""What people do, on a wide screen and on a phone, with scripts and without."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from harness.real_server import RealServer
from tests.browser.actions import ask, expect_said, in_place, open_details, open_list, set_up
from tests.browser.conftest import EVERYWHERE, Visit, Watch, sign_in
from tests.browser.site import ACCOUNT, ANN, BOB, LIST, TOKENS, Site
from tests.conftest import DEVICE, as_device

# --- the first visit ---------------------------------------------------------------------------


@EVERYWHERE
def test_from_the_setup_link_to_the_first_device(
    bare_server: RealServer, visit: Visit, kind: tuple[int, bool], scripts: bool
) -> None:
    page = visit(bare_server, width=kind[0], scripts=scripts)
    set_up(page, bare_server)
    expect_said(page, "Your account is ready.")

    expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
    page.get_by_role("button", name="Create a token").click()
    token = page.get_by_label("the token", exact=True).inner_text()
    page.goto(LIST)
    expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
    with in_place(page, scripts):
        headers = as_device(token, "my-first-device")
        assert bare_server.call("GET", DEVICE, headers).status == 200
        if not scripts:
            page.get_by_role("link", name="Look now").click()
        expect(page.get_by_role("link", name="my-first-device")).to_be_visible()
    expect(page.get_by_label("Name or identifier")).to_be_visible()
    page.get_by_role("button", name="Block my-first-device").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_the_empty_page_stays_while_no_device_calls(bare_server: RealServer, visit: Visit) -> None:
    page = visit(bare_server)
    set_up(page, bare_server)
    button = page.get_by_role("button", name="Create a token")
    button.focus()
    with page.expect_response(lambda answer: urlsplit(answer.url).path == LIST):
        pass  # it looks by itself
    expect(page.get_by_role("heading", name="No devices yet")).to_be_visible()
    expect(button).to_be_focused()


# --- rename ------------------------------------------------------------------------------------


@EVERYWHERE
def test_rename_in_the_list(site: Site, page: Page, scripts: bool) -> None:
    device = site.device()
    row = open_list(page, device)
    with in_place(page, scripts):
        row.get_by_title("Rename", exact=True).click()
        row.get_by_label("Name of").fill("Main Entrance")
        row.get_by_role("button", name="Save").click()
        expect(row.get_by_role("link", name="Main Entrance")).to_be_visible()
        expect(row).to_contain_text(device.identifier)
        expect_said(page, "Saved: “Main Entrance”.")
    if scripts:
        expect(row.get_by_title("Rename", exact=True)).to_be_focused()
    assert site.state(device)["name"] == "Main Entrance"


@EVERYWHERE
def test_rename_in_the_details_and_take_the_name_back(
    site: Site, page: Page, scripts: bool
) -> None:
    device = site.device()
    details = open_details(page, device)
    with in_place(page, scripts):
        details.get_by_label("Name of").fill("Main Entrance")
        details.get_by_role("button", name="Save").click()
        expect(details.get_by_role("heading", level=1)).to_have_text("Main Entrance")
        expect_said(page, "Saved: “Main Entrance”.")
        expect(page).to_have_title("Main Entrance · API Devices")
        details.get_by_label("Name of").fill("")
        details.get_by_role("button", name="Save").click()
        expect(details.get_by_role("heading", level=1)).to_have_text(device.identifier)
    assert site.state(device)["name"] is None


@EVERYWHERE
def test_a_name_that_is_too_long_can_be_mended(
    site: Site, page: Page, scripts: bool, watch: Watch
) -> None:
    watch.expected.add(422)
    device = site.device()
    row = open_list(page, device)
    row.get_by_title("Rename", exact=True).click()
    row.get_by_label("Name of").fill("x" * 256)
    row.get_by_role("button", name="Save").click()
    # With scripts that is still the row, without them it is the page of the device.
    field = page.locator(device.element).get_by_label("Name of")
    expect(page.locator(device.element)).to_contain_text("A name can have at most 255 characters.")
    expect(field).to_have_value("x" * 256)
    if scripts:
        expect(field).to_be_focused()
    field.fill("x" * 255)
    page.locator(device.element).get_by_role("button", name="Save").click()
    expect_said(page, "Saved: ")
    assert site.state(device)["name"] == "x" * 255


# --- block and unblock -------------------------------------------------------------------------


@EVERYWHERE
def test_block_and_unblock_in_the_list(site: Site, page: Page, scripts: bool) -> None:
    device = site.device(name="Box Office")
    row = open_list(page, device)
    with in_place(page, scripts):
        question = ask(page, row, "Block")
        expect(question.get_by_label("Reason")).to_be_focused()
        question.get_by_label("Reason").fill("Lost on the train")
        question.get_by_role("button", name="Block device").click()
        expect(row).to_contain_text("Blocked")
        expect_said(page, "Blocked “Box Office”: its next request is denied.")
    assert site.call(device.identifier) == 403
    assert site.state(device)["block_reason"] == "Lost on the train"
    if scripts:
        expect(row.get_by_role("button", name="Unblock Box Office")).to_be_focused()

    with in_place(page, scripts):
        page.get_by_text("Only blocked").click()
        if not scripts:
            page.get_by_role("button", name="Apply").click()
        expect(page).to_have_url(re.compile(r"[?&]status=blocked$"))
        expect(row).to_be_visible()
        question = ask(page, row, "Unblock")
        question.get_by_role("button", name="Unblock device").click()
        expect_said(page, "Unblocked “Box Office”: its next request is served.")
    assert site.call(device.identifier) == 200
    if scripts:
        expect(row.get_by_role("button", name="Block Box Office")).to_be_focused()


@EVERYWHERE
def test_block_and_unblock_in_the_details(site: Site, page: Page, scripts: bool) -> None:
    device = site.device()
    details = open_details(page, device)
    with in_place(page, scripts):
        question = ask(page, details, "Block")
        question.get_by_label("Reason").fill("Stolen")
        question.get_by_role("button", name="Block device").click()
        expect(details).to_contain_text("Stolen")
        expect(details).to_contain_text(f"by {ANN}")
        expect_said(page, "Blocked ")
    assert site.call(device.identifier) == 403
    with in_place(page, scripts):
        if scripts:
            expect(details.get_by_role("button", name="Unblock")).to_be_focused()
        question = ask(page, details, "Unblock")
        question.get_by_role("button", name="Unblock device").click()
        expect_said(page, "Unblocked ")
        expect(details).not_to_contain_text("Stolen")
    assert site.call(device.identifier) == 200
    if scripts:
        expect(details.get_by_role("button", name="Block")).to_be_focused()


@EVERYWHERE
def test_a_question_can_be_declined(site: Site, page: Page) -> None:
    device = site.device()
    row = open_list(page, device)
    question = ask(page, row, "Block")
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_be_hidden()
    expect(row.get_by_role("button", name="Block")).to_be_focused()
    assert site.call(device.identifier) == 200


# --- filters and pages -------------------------------------------------------------------------


@EVERYWHERE
def test_filter_by_name(site: Site, page: Page, scripts: bool) -> None:
    device = site.device(name=f"Zürich {page.viewport_size} {scripts}")
    other = site.device()
    page.goto(LIST)
    row = page.locator(device.element)
    with in_place(page, scripts):
        page.get_by_label("Name or identifier").fill(f"ZÜRICH {page.viewport_size} {scripts}")
        if not scripts:
            page.get_by_role("button", name="Apply").click()
        expect(page.locator(other.element)).to_have_count(0)
        expect(row).to_be_visible()
        expect(page.get_by_text("1 device found")).to_be_visible()
    assert "name=Z" in page.url
    page.reload()
    expect(page.locator(other.element)).to_have_count(0)
    expect(row).to_be_visible()


@EVERYWHERE
def test_back_shows_the_list_as_it_was_before_the_filter(
    site: Site, page: Page, scripts: bool
) -> None:
    device = site.device()
    page.goto(LIST)
    row = page.locator(device.element)
    field = page.get_by_label("Name or identifier")
    field.fill("no such device")
    page.get_by_text("Only blocked").click()
    if not scripts:
        page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="No device matches")).to_be_visible()
    expect(page).to_have_url(re.compile("status=blocked"))
    page.go_back()
    if "name=" in page.url:
        page.go_back()  # two changes may be two steps
    expect(page).to_have_url(re.compile(f"{LIST}$"))
    expect(row).to_be_visible()
    expect(field).to_have_value("")
    expect(page.get_by_label("All")).to_be_checked()
    page.wait_for_load_state()  # HTMX reloads on Back, and sees Forward only once it is loaded
    page.go_forward()
    expect(page.get_by_role("heading", name="No device matches")).to_be_visible()
    expect(field).to_have_value("no such device")


@EVERYWHERE
def test_no_match_leads_back_to_all(site: Site, page: Page) -> None:
    device = site.device()
    page.goto(f"{LIST}?name=no+such+device")
    page.get_by_role("link", name="Clear the filters").click()
    expect(page.locator(device.element)).to_be_visible()
    expect(page.get_by_label("Name or identifier")).to_have_value("")


# --- tokens ------------------------------------------------------------------------------------


@EVERYWHERE
def test_create_and_revoke_a_token(
    site: Site, page: Page, kind: tuple[int, bool], scripts: bool
) -> None:
    name = f"ticket scan {kind}"
    page.goto(TOKENS)
    with in_place(page, scripts):
        page.get_by_role("textbox", name="Name").fill(name)
        page.get_by_label("devices:read").check()
        page.get_by_role("button", name="Create token").click()
        expect_said(page, f"Created the token “{name}”.")
        token = page.get_by_label("the token", exact=True).inner_text()
    if scripts:
        expect(page.get_by_role("heading", name="Copy your new token")).to_be_focused()
    assert site.call("scanner", token=token) == 200

    page.goto(TOKENS)
    expect(page.get_by_text(token)).to_have_count(0)
    row = page.get_by_role("row").filter(has_text=name)
    row = row if kind[0] > 400 else page.locator("tr").filter(has_text=name)
    with in_place(page, scripts):
        question = ask(page, row, "Revoke")
        expect(question).to_contain_text("This can't be undone.")
        question.get_by_role("button", name="Revoke token").click()
        expect_said(page, f"Revoked the token “{name}”: its next request is refused.")
        expect(row).to_contain_text("Revoked")
    assert site.call("scanner", token=token) == 401
    if scripts:
        expect(page.get_by_role("heading", name="Tokens", exact=True)).to_be_focused()


def test_a_new_token_can_be_copied(site: Site, desk: Page) -> None:
    desk.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.goto(TOKENS)
    desk.get_by_role("textbox", name="Name").fill("to be copied")
    desk.get_by_role("button", name="Create token").click()
    desk.get_by_role("button", name="Copy the token").click()
    expect_said(desk, "Copied.")
    copied = desk.evaluate("navigator.clipboard.readText()")
    assert site.call("copied", token=copied) == 200


def test_without_a_clipboard_the_token_is_selected(desk: Page) -> None:
    desk.goto(TOKENS)
    desk.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    desk.get_by_role("textbox", name="Name").fill("to be copied by hand")
    desk.get_by_role("button", name="Create token").click()
    desk.get_by_role("button", name="Copy the token").click()
    expect_said(desk, "Ctrl")
    token = desk.get_by_label("the token", exact=True).inner_text()
    assert desk.evaluate("getSelection().toString().trim()") == token


def test_a_token_that_is_refused_puts_the_cursor_where_it_must_be_mended(
    desk: Page, watch: Watch
) -> None:
    watch.expected.add(422)
    desk.goto(TOKENS)
    with in_place(desk, scripts=True):
        desk.get_by_role("textbox", name="Name").fill("yesterday's")
        desk.get_by_label("Expires").fill("2020-01-01")
        desk.get_by_role("button", name="Create token").click()
        expect(desk.get_by_text("The expiry date is in the past.")).to_be_visible()
        expect(desk.get_by_role("textbox", name="Name")).to_have_value("yesterday's")


# --- the account -------------------------------------------------------------------------------


@EVERYWHERE
def test_sign_in_and_out(visit: Visit, kind: tuple[int, bool], scripts: bool) -> None:
    page = visit(width=kind[0], scripts=scripts, signed_in=False)
    page.goto(TOKENS)
    expect(page).to_have_url(re.compile("/login"))
    sign_in(page, BOB)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(LIST)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@EVERYWHERE
def test_a_wrong_password_is_told(visit: Visit, kind: tuple[int, bool], scripts: bool) -> None:
    page = visit(width=kind[0], scripts=scripts, signed_in=False)
    page.goto("/login")
    page.get_by_label("E-mail").fill(ANN)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".error")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_have_value(ANN)


def test_the_frame_leads_everywhere(desk: Page) -> None:
    desk.goto(LIST)
    settings = desk.get_by_role("navigation", name="Settings")
    for name, path in (("API Tokens", TOKENS), ("Account", ACCOUNT), ("API Devices", LIST)):
        settings.get_by_role("link", name=name).click()
        expect(desk).to_have_url(re.compile(f"{path}$"))
        expect(desk.get_by_role("heading", level=1)).to_have_text(name)
        expect(settings.locator("[aria-current=page]")).to_have_text(name)
