"""What an administrator does to a device: rename, block, unblock; from the list and the details."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from tests.conftest import DEVICE, NOON, Administrator, Clock, Register, as_device
from tests.pages.markup import Node
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"

CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("name", {"name": "Main Entrance"}, "Saved: “Main Entrance”."),
    ("block", {"reason": "Lost"}, "Blocked “phone-1”: its next request is denied."),
    ("unblock", {}, "Unblocked “phone-1”: its next request is served."),
]
each_change = pytest.mark.parametrize(
    ("action", "typed", "said"), CHANGES, ids=[change[0] for change in CHANGES]
)
from_both_pages = pytest.mark.parametrize("source", ["list", "details"])


@pytest.fixture
def phone(register: Register) -> int:
    """The id of a device."""
    return register("phone-1")


@pytest.fixture
def state_before(request: pytest.FixtureRequest, administrator: Administrator, phone: int) -> None:
    """A device in the state in which the page offers what is going to be done."""
    if request.getfixturevalue("action") == "unblock":
        administrator.block(reason="Before")


def address(source: str, device: int) -> str:
    return LIST if source == "list" else f"{LIST}/{device}"


def without_title(fragment: Page) -> list[Node]:
    return [node for node in fragment.root.children if node.tag != "title"]


# --- with a plain browser ----------------------------------------------------------------------


@each_change
@from_both_pages
@pytest.mark.usefixtures("state_before")
def test_plain_form_leads_back_to_its_page_which_says_what_happened(
    admin: Visitor, phone: int, source: str, action: str, typed: dict[str, Any], said: str
) -> None:
    answer = admin.change(address(source, phone), f"/{phone}/{action}", **typed)
    assert urlsplit(answer.location).path == address(source, phone)
    page = admin.follow(answer)
    assert page.is_whole
    assert page.announced == said
    assert admin.get(page.path).announced == ""


def test_plain_form_leads_back_to_the_same_place_in_the_list(
    admin: Visitor, register: Register
) -> None:
    for number in range(51):
        register(f"phone-{number}", at=NOON - timedelta(minutes=number))
    first = admin.get(f"{LIST}?name=phone&status=active")
    older = admin.get(first.root.one("nav", aria_label="Pages").one("a", rel="next")["href"])
    [row] = older.root.one("tbody").all("tr")
    device = row["id"].removeprefix("device-")
    back = urlsplit(admin.submit(older, f"/{device}/name", name="Renamed phone").location)
    assert back.fragment == f"device-{device}"
    assert parse_qs(back.query) == parse_qs(urlsplit(older.path).query)
    assert [row["id"] for row in admin.get(back._replace(fragment="").geturl()).root.all("tr")[1:]]


# --- with HTMX ---------------------------------------------------------------------------------


@each_change
@pytest.mark.usefixtures("state_before")
def test_htmx_gets_the_row_and_the_message(
    admin: Visitor, phone: int, action: str, typed: dict[str, Any], said: str
) -> None:
    answer = admin.change(LIST, f"/{phone}/{action}", htmx=True, **typed)
    row, status = without_title(answer)
    assert (row.tag, row["id"]) == ("tr", f"device-{phone}")
    assert (status.tag, status["hx-target"]) == ("hx-partial", "#apidevices-status")
    assert answer.status == 200
    assert answer.announced == said


@each_change
@pytest.mark.usefixtures("state_before")
def test_htmx_gets_the_details_and_the_message(
    admin: Visitor, phone: int, action: str, typed: dict[str, Any], said: str
) -> None:
    answer = admin.change(f"{LIST}/{phone}", f"/{phone}/{action}", htmx=True, **typed)
    article, status = without_title(answer)
    assert (article.tag, article["id"]) == ("article", f"device-{phone}")
    assert (status.tag, status["hx-target"]) == ("hx-partial", "#apidevices-status")
    assert answer.status == 200
    assert answer.announced == said


def test_htmx_gets_a_message_once(admin: Visitor, phone: int) -> None:
    admin.change(LIST, f"/{phone}/block", htmx=True)
    assert admin.get(LIST).announced == ""


def test_the_forms_of_a_fragment_work_again(admin: Visitor, phone: int) -> None:
    row = admin.change(f"{LIST}?name=phone", f"/{phone}/block", htmx=True)
    row = admin.submit(row, f"/{phone}/unblock", htmx=True)
    row = admin.submit(row, f"/{phone}/name", htmx=True, name="Again")
    assert row.root.one("tr").one("td", class_="name").all("a")[0].text == "Again"


def test_the_forms_of_a_fragment_keep_the_place_in_the_list(admin: Visitor, phone: int) -> None:
    row = admin.change(f"{LIST}?name=phone", f"/{phone}/block", htmx=True)
    back = admin.submit(row, f"/{phone}/unblock").location
    assert back == f"{LIST}?name=phone#device-{phone}"


def test_a_renamed_device_gets_its_page_a_new_title(admin: Visitor, phone: int) -> None:
    answer = admin.change(f"{LIST}/{phone}", "/name", htmx=True, name="Main Entrance")
    assert answer.root.one("title").text == "Main Entrance · API Devices"


def test_the_same_form_serves_both(admin: Visitor, phone: int) -> None:
    for path in (LIST, f"{LIST}/{phone}"):
        for form in admin.get(path).root.all("form", hx_target=f"#device-{phone}"):
            assert form["hx-post"] == form["action"]


# --- what is done ------------------------------------------------------------------------------


@from_both_pages
def test_a_new_name_is_stored_clean(
    admin: Visitor, administrator: Administrator, phone: int, source: str
) -> None:
    admin.change(address(source, phone), "/name", name="  Main \t Entrance\n")
    assert administrator.device()["name"] == "Main Entrance"


def test_an_empty_name_gives_the_identifier_back(
    admin: Visitor, administrator: Administrator, phone: int
) -> None:
    administrator.rename("Main Entrance")
    page = admin.follow(admin.change(f"{LIST}/{phone}", "/name", name=" "))
    assert page.root.one("h1").text == "phone-1"
    assert administrator.device()["name"] is None


@from_both_pages
def test_a_blocked_device_is_denied_until_it_is_unblocked(
    admin: Visitor, app: Flask, token: str, source: str
) -> None:
    def call() -> int:
        return app.test_client().get(DEVICE, headers=as_device(token)).status_code

    assert call() == 200
    [row] = admin.get(LIST).root.one("tbody").all("tr")
    page = address(source, int(row["id"].removeprefix("device-")))
    admin.change(page, "/block", reason="Lost")
    assert call() == 403
    admin.change(page, "/unblock")
    assert call() == 200


@pytest.mark.parametrize("htmx", [False, True])
def test_blocking_twice_keeps_the_first_time_and_reason(
    admin: Visitor, administrator: Administrator, the_clock: Clock, phone: int, htmx: bool
) -> None:
    page = admin.get(LIST)
    admin.submit(page, f"/{phone}/block", htmx=htmx, reason="First")
    before = administrator.device()
    the_clock.set(NOON + timedelta(hours=1))
    again = admin.submit(page, f"/{phone}/block", htmx=htmx, reason="Second")
    assert again.status == (200 if htmx else 303)
    assert administrator.device() == before


def test_unblocking_twice_is_fine(admin: Visitor, administrator: Administrator, phone: int) -> None:
    administrator.block()
    page = admin.get(LIST)
    assert admin.submit(page, f"/{phone}/unblock").status == 303
    before = administrator.device()
    assert admin.submit(page, f"/{phone}/unblock").status == 303
    assert administrator.device() == before


# --- what is refused ---------------------------------------------------------------------------


@from_both_pages
@pytest.mark.parametrize("htmx", [False, True])
def test_a_name_that_is_too_long_is_refused_and_kept_to_be_mended(
    admin: Visitor, administrator: Administrator, phone: int, source: str, htmx: bool
) -> None:
    administrator.rename("Before")
    answer = admin.change(address(source, phone), f"/{phone}/name", htmx=htmx, name="x" * 256)
    assert answer.status == 422
    assert answer.is_whole is not htmx
    field = answer.form("/name").one("input", name="name")
    assert field["value"] == "x" * 256
    assert field["aria-invalid"] == "true"
    assert (
        answer.root.one(id=field["aria-describedby"]).text
        == "A name can have at most 255 characters."
    )
    assert administrator.device()["name"] == "Before"


def test_a_name_that_is_too_long_leaves_the_row_open(admin: Visitor, phone: int) -> None:
    answer = admin.change(LIST, f"/{phone}/name", htmx=True, name="x" * 256)
    assert "open" in answer.root.one("details").attributes


def test_the_longest_name_is_taken(
    admin: Visitor, administrator: Administrator, phone: int
) -> None:
    assert admin.change(LIST, f"/{phone}/name", name="x" * 255).status == 303
    assert administrator.device()["name"] == "x" * 255


@from_both_pages
@pytest.mark.parametrize("htmx", [False, True])
def test_a_reason_that_is_too_long_is_refused(
    admin: Visitor, administrator: Administrator, phone: int, source: str, htmx: bool
) -> None:
    administrator.rename("Before")
    page = admin.get(address(source, phone))
    answer = admin.submit(page, f"/{phone}/block", htmx=htmx, reason="x" * 1001)
    assert answer.status == 422
    assert "A reason can have at most 1,000 characters." in answer.text
    assert administrator.device()["status"] == "active"
    field = answer.form("/name").one("input", name="name")
    assert field["value"] == "Before"
    assert field.get("aria-invalid") is None


def post(admin: Visitor, phone: int, action: str, **options: Any) -> Page:
    return admin.post(f"{LIST}/{phone}/{action}", name="New", reason="New", **options)


@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize("action", ["name", "block", "unblock"])
@pytest.mark.parametrize("forged", ["none", "made up", "a stranger's"])
def test_a_form_without_the_token_of_the_session_is_refused(
    admin: Visitor,
    stranger: Visitor,
    administrator: Administrator,
    phone: int,
    action: str,
    forged: str,
    htmx: bool,
) -> None:
    if action == "unblock":
        administrator.block()
    before = administrator.device()
    theirs = stranger.get("/login").form("/login").one("input", name="csrf_token")["value"]
    token = {"none": {}, "made up": {"csrf_token": "x"}, "a stranger's": {"csrf_token": theirs}}
    answer = post(admin, phone, action, htmx=htmx, **token[forged])
    assert answer.status == 400
    assert "nothing was changed. Reload it and try again." in answer.text
    assert administrator.device() == before


@pytest.mark.parametrize("action", ["name", "block", "unblock"])
def test_nothing_is_done_by_opening_an_address(
    admin: Visitor, administrator: Administrator, phone: int, action: str
) -> None:
    before = administrator.device()
    page = admin.get(f"{LIST}/{phone}/{action}")
    assert page.status == 405
    assert "POST" in page.headers["Allow"]
    assert administrator.device() == before


def test_a_form_without_a_name_takes_none_away(admin: Visitor, register: Register) -> None:
    number = register("phone-1")
    admin.change(LIST, f"{LIST}/{number}/name", name="Front desk")
    token = admin.get(LIST).root.all("input", name="csrf_token")[0]["value"]
    assert admin.post(f"{LIST}/{number}/name", csrf_token=token).status == 422
    assert "Front desk" in admin.get(LIST).text


@pytest.mark.parametrize("action", ["name", "block", "unblock"])
def test_an_unknown_device_can_not_be_changed(admin: Visitor, phone: int, action: str) -> None:
    token = admin.get(LIST).form("/name").one("input", name="csrf_token")["value"]
    page = admin.post(f"{LIST}/{phone + 1}/{action}", csrf_token=token)
    assert page.status == 404
    assert "This device does not exist." in page.text


def test_htmx_is_told_about_an_unknown_device_in_the_status_line(
    admin: Visitor, phone: int
) -> None:
    token = admin.get(LIST).form("/name").one("input", name="csrf_token")["value"]
    answer = admin.post(f"{LIST}/{phone + 1}/block", htmx=True, csrf_token=token)
    assert answer.status == 404
    assert answer.announced == "This device does not exist."
    assert answer.headers["HX-Reswap"] == "none"
