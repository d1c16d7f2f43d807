"""Settings > API Devices: pagination of the list."""

import pytest

from tests.conftest import NOON, Administrator, Register
from tests.pages.device_list import LIST, device_names, minutes, rows
from tests.pages.visitor import Page, Visitor


@pytest.fixture
def many_devices(register: Register) -> list[str]:
    """The identifiers of 125 devices, which fill two and a half pages, in list order."""
    identifiers = [f"phone-{number:03}" for number in range(125)]
    for number, identifier in enumerate(identifiers):
        # Groups of five share one activity time, so that ids must break ties.
        register(identifier, at=NOON - minutes(number // 5))
    by_five = [identifiers[start : start + 5] for start in range(0, 125, 5)]
    return [identifier for five in by_five for identifier in reversed(five)]


def page_link(page: Page, rel: str) -> str:
    return page.root.one("nav", aria_label="Pagination").one("a", rel=rel)["href"]


def test_pages_of_fifty_contain_every_device_once(admin: Visitor, many_devices: list[str]) -> None:
    first = admin.get(LIST)
    second = admin.get(page_link(first, "next"))
    third = admin.get(page_link(second, "next"))
    assert [len(rows(page)) for page in (first, second, third)] == [50, 50, 25]
    assert device_names(first) + device_names(second) + device_names(third) == many_devices


def test_paging_back_shows_the_same_pages(admin: Visitor, many_devices: list[str]) -> None:
    second = admin.get(page_link(admin.get(LIST), "next"))
    back = admin.get(page_link(admin.get(page_link(second, "next")), "prev"))
    assert device_names(back) == device_names(second)
    assert device_names(admin.get(page_link(back, "prev"))) == many_devices[:50]


@pytest.mark.usefixtures("many_devices")
def test_first_page_has_no_previous_link_and_last_page_no_next_link(admin: Visitor) -> None:
    first = admin.get(LIST)
    last = admin.get(page_link(admin.get(page_link(first, "next")), "next"))
    assert [link.text for link in first.root.one("nav", aria_label="Pagination").all("a")] == [
        "Next"
    ]
    assert "Next" not in last.root.one("nav", aria_label="Pagination").text


@pytest.mark.usefixtures("many_devices")
def test_pages_keep_the_filters(admin: Visitor) -> None:
    first = admin.get(f"{LIST}?name=phone-0&status=active")
    second = admin.get(page_link(first, "next"))
    assert len(device_names(second)) == 50
    assert all(name.startswith("phone-0") for name in device_names(second))
    assert second.root.one("input", name="name", type="search")["value"] == "phone-0"
    assert device_names(admin.get(page_link(second, "prev"))) == device_names(first)


@pytest.mark.parametrize(
    "cursor", ["x", "older", "older-1", "older-x-1", "older-1-99999999999999999999", "%00", "%FF"]
)
def test_invalid_cursor_shows_the_first_page(
    admin: Visitor, register: Register, cursor: str
) -> None:
    for identifier in ("second", "first"):
        register(identifier)
    page = admin.get(f"{LIST}?cursor={cursor}")
    assert page.status == 200
    assert device_names(page) == ["first", "second"]


@pytest.mark.parametrize("cursor", ["older-0-1", "newer-9999999999999999-1"])
def test_cursor_past_either_end_of_the_list_shows_the_first_page(
    admin: Visitor, register: Register, cursor: str
) -> None:
    register("phone-1")
    assert device_names(admin.get(f"{LIST}?cursor={cursor}")) == ["phone-1"]


def test_single_page_has_no_links_to_others(admin: Visitor, register: Register) -> None:
    register("phone-1")
    assert admin.get(LIST).root.one("nav", aria_label="Pagination").all("a") == []


@pytest.mark.usefixtures("many_devices")
def test_pager_says_which_devices_the_page_shows(admin: Visitor) -> None:
    def said(page: Page) -> str:
        return page.root.one(id="list-count").text

    first = admin.get(LIST)
    second = admin.get(page_link(first, "next"))
    assert said(first) == "1–50 of 125 devices"
    assert said(second) == "51–100 of 125 devices"
    assert said(admin.get(page_link(second, "next"))) == "101–125 of 125 devices"
    assert said(admin.get(page_link(second, "prev"))) == "1–50 of 125 devices"


def test_page_and_api_list_devices_in_the_same_order(
    admin: Visitor, administrator: Administrator, many_devices: list[str]
) -> None:
    named = [device["identifier"] for device in administrator.devices()]
    assert named == device_names(admin.get(LIST)) == many_devices[:50]
