"""How the forms of a device respond, with and without HTMX."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import NOON, Administrator, Register
from tests.pages.device_changes import each_change, from_both_pages, page_path
from tests.pages.device_list import LIST
from tests.pages.markup import Node
from tests.pages.visitor import Page, Visitor


@pytest.fixture
def device_to_change(
    request: pytest.FixtureRequest, administrator: Administrator, phone: int
) -> None:
    """A device in the state in which its page offers the action."""
    if request.getfixturevalue("action") == "unblock":
        administrator.block(reason="Before")


def without_title(fragment: Page) -> list[Node]:
    return [node for node in fragment.root.children if node.tag != "title"]


# --- without HTMX ------------------------------------------------------------------------------


@pytest.mark.database("sqlite")
@each_change
@from_both_pages
@pytest.mark.usefixtures("device_to_change")
def test_plain_form_returns_to_its_page_with_a_message(
    admin: Visitor, phone: int, source: str, action: str, typed: dict[str, Any], message: str
) -> None:
    response = admin.change(page_path(source, phone), f"/{phone}/{action}", **typed)
    assert urlsplit(response.location).path == page_path(source, phone)
    page = admin.follow(response)
    assert page.is_full_page
    assert page.announced == message
    assert admin.get(page.path).announced == ""


def test_plain_form_returns_to_the_same_page_and_filters_of_the_list(
    admin: Visitor, register: Register
) -> None:
    for number in range(51):
        register(f"phone-{number}", at=NOON - timedelta(minutes=number))
    first = admin.get(f"{LIST}?name=phone&status=active")
    older = admin.get(first.root.one("nav", aria_label="Pagination").one("a", rel="next")["href"])
    [row] = older.root.one("tbody").all("tr")
    device = row["id"].removeprefix("device-")
    back = urlsplit(admin.submit(older, f"/{device}/name", name="Renamed phone").location)
    assert back.fragment == f"device-{device}"
    assert parse_qs(back.query) == parse_qs(urlsplit(older.path).query)
    returned = admin.get(back._replace(fragment="").geturl())
    assert [row["id"] for row in returned.root.one("tbody").all("tr")] == [f"device-{device}"]


# --- with HTMX ---------------------------------------------------------------------------------


@each_change
@pytest.mark.usefixtures("device_to_change")
def test_htmx_form_in_the_list_gets_the_row_and_the_message(
    admin: Visitor, phone: int, action: str, typed: dict[str, Any], message: str
) -> None:
    response = admin.change(LIST, f"/{phone}/{action}", htmx=True, **typed)
    row, status, _offer = without_title(response)
    assert (row.tag, row["id"]) == ("tr", f"device-{phone}")
    assert (status.tag, status["hx-target"]) == ("hx-partial", "#apidevices-status")
    assert response.status == 200
    assert response.announced == message


@each_change
@pytest.mark.usefixtures("device_to_change")
def test_htmx_form_on_the_device_page_gets_the_details_and_the_message(
    admin: Visitor, phone: int, action: str, typed: dict[str, Any], message: str
) -> None:
    response = admin.change(f"{LIST}/{phone}", f"/{phone}/{action}", htmx=True, **typed)
    article, status, _offer = without_title(response)
    assert (article.tag, article["id"]) == ("article", f"device-{phone}")
    assert (status.tag, status["hx-target"]) == ("hx-partial", "#apidevices-status")
    assert response.status == 200
    assert response.announced == message


def test_htmx_gets_a_message_only_once(admin: Visitor, phone: int) -> None:
    admin.change(LIST, f"/{phone}/block", htmx=True)
    assert admin.get(LIST).announced == ""


def test_forms_in_a_fragment_can_be_submitted(admin: Visitor, phone: int) -> None:
    row = admin.change(f"{LIST}?name=phone", f"/{phone}/block", htmx=True)
    row = admin.submit(row, f"/{phone}/unblock", htmx=True)
    row = admin.submit(row, f"/{phone}/name", htmx=True, name="Front desk")
    assert row.root.one("tr").one("td", class_="name").all("a")[0].text == "Front desk"


def test_forms_in_a_fragment_keep_the_filters_of_the_list(admin: Visitor, phone: int) -> None:
    row = admin.change(f"{LIST}?name=phone", f"/{phone}/block", htmx=True)
    back = admin.submit(row, f"/{phone}/unblock").location
    assert back == f"{LIST}?name=phone#device-{phone}"


def test_renaming_on_the_device_page_updates_its_title(admin: Visitor, phone: int) -> None:
    response = admin.change(f"{LIST}/{phone}", "/name", htmx=True, name="Front desk")
    assert response.root.one("title").text == "Front desk · API Devices"


def test_htmx_and_plain_forms_post_to_the_same_url(admin: Visitor, phone: int) -> None:
    for path in (LIST, f"{LIST}/{phone}"):
        for form in admin.get(path).root.all("form", hx_target=f"#device-{phone}"):
            assert form["hx-post"] == form["action"]
