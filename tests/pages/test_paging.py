"""Settings > API Devices: the list, fifty at a time."""

import pytest

from tests.conftest import NOON, Administrator, Register
from tests.pages.device_list import LIST, listed, minutes, rows
from tests.pages.visitor import Page, Visitor


@pytest.fixture
def many(register: Register) -> list[str]:
    """The identifiers of devices for two pages and a half, in the order of the list."""
    identifiers = [f"phone-{number:03}" for number in range(125)]
    for number, identifier in enumerate(identifiers):
        # Five at a time were active at the same moment.
        register(identifier, at=NOON - minutes(number // 5))
    by_five = [identifiers[start : start + 5] for start in range(0, 125, 5)]
    return [identifier for five in by_five for identifier in reversed(five)]


def to(page: Page, rel: str) -> str:
    return page.root.one("nav", aria_label="Pages").one("a", rel=rel)["href"]


def test_pages_have_fifty_rows_and_lose_and_repeat_none(admin: Visitor, many: list[str]) -> None:
    first = admin.get(LIST)
    second = admin.get(to(first, "next"))
    third = admin.get(to(second, "next"))
    assert [len(rows(page)) for page in (first, second, third)] == [50, 50, 25]
    assert listed(first) + listed(second) + listed(third) == many


def test_the_way_back_leads_over_the_same_pages(admin: Visitor, many: list[str]) -> None:
    second = admin.get(to(admin.get(LIST), "next"))
    back = admin.get(to(admin.get(to(second, "next")), "prev"))
    assert listed(back) == listed(second)
    assert listed(admin.get(to(back, "prev"))) == many[:50]


@pytest.mark.usefixtures("many")
def test_the_first_page_has_no_newer_and_the_last_no_older(admin: Visitor) -> None:
    first = admin.get(LIST)
    last = admin.get(to(admin.get(to(first, "next")), "next"))
    assert [link.text for link in first.root.one("nav", aria_label="Pages").all("a")] == ["Older"]
    assert "Older" not in last.root.one("nav", aria_label="Pages").text


@pytest.mark.usefixtures("many")
def test_pages_keep_the_filters(admin: Visitor) -> None:
    first = admin.get(f"{LIST}?name=phone-0&status=active")
    second = admin.get(to(first, "next"))
    assert len(listed(second)) == 50
    assert all(name.startswith("phone-0") for name in listed(second))
    assert second.root.one("input", name="name", type="search")["value"] == "phone-0"
    assert listed(admin.get(to(second, "prev"))) == listed(first)


@pytest.mark.parametrize(
    "cursor", ["x", "older", "older-1", "older-x-1", "older-1-99999999999999999999", "%00", "%FF"]
)
def test_a_broken_cursor_means_the_first_page(
    admin: Visitor, register: Register, cursor: str
) -> None:
    for identifier in ("second", "first"):
        register(identifier)
    page = admin.get(f"{LIST}?cursor={cursor}")
    assert page.status == 200
    assert listed(page) == ["first", "second"]


def test_a_cursor_to_a_place_that_is_gone_means_the_first_page(
    admin: Visitor, register: Register
) -> None:
    register("phone-1")
    assert listed(admin.get(f"{LIST}?cursor=older-0-0")) == ["phone-1"]


def test_a_place_behind_the_last_device_means_the_first_page(
    admin: Visitor, register: Register
) -> None:
    register("phone-1")
    assert listed(admin.get(f"{LIST}?cursor=older-0-1")) == ["phone-1"]


def test_few_devices_need_no_pages(admin: Visitor, register: Register) -> None:
    register("phone-1")
    assert admin.get(LIST).root.all("nav", aria_label="Pages") == []


def test_api_and_page_tell_the_same_order(
    admin: Visitor, administrator: Administrator, many: list[str]
) -> None:
    named = [device["identifier"] for device in administrator.devices()]
    assert named == listed(admin.get(LIST)) == many[:50]
