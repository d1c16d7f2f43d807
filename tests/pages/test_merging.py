"""The pages that merge devices and remove aliases."""

from urllib.parse import quote

import pytest
from flask import Flask

from tests.conftest import DEVICES, Administrator, Register
from tests.pages.conftest import signed_in_visitor
from tests.pages.device_list import LIST
from tests.pages.visitor import Page, Visitor

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture
def ids(register: Register) -> tuple[int, int]:
    return register("phone-old", model="X"), register("phone-new", model="X")


def merge(admin: Visitor, ids: tuple[int, int], *, htmx: bool = False) -> Page:
    old, new = ids
    return admin.change(f"{LIST}/{new}/merge?from={old}", f"/{new}/merge", htmx=htmx)


def test_search_finds_other_devices_and_leads_to_the_comparison(
    admin: Visitor, ids: tuple[int, int]
) -> None:
    old, new = ids
    page = admin.get(f"{LIST}/{new}/merge?q=phone")
    [choose] = [link for link in page.root.all("a") if link.text.startswith("Choose")]
    comparison = admin.get(choose["href"])
    assert comparison.path == f"{LIST}/{new}/merge?from={old}"
    assert [heading.text for heading in comparison.root.all("h2")] == ["Becomes an alias", "Stays"]


def test_search_finds_archived_devices(
    admin: Visitor, administrator: Administrator, ids: tuple[int, int]
) -> None:
    administrator.request("POST", f"{DEVICES}/{ids[0]}/archive")
    assert "Choose" in admin.get(f"{LIST}/{ids[1]}/merge?q=phone").text


def test_comparison_says_that_the_device_will_be_blocked(
    admin: Visitor, administrator: Administrator, ids: tuple[int, int]
) -> None:
    old, new = ids
    administrator.block("phone-old")
    for pair, text in (((old, new), "will be blocked"), ((new, old), "stays blocked")):
        assert text in admin.get(f"{LIST}/{pair[1]}/merge?from={pair[0]}").html


def test_merge_leads_to_the_device_with_its_alias(admin: Visitor, ids: tuple[int, int]) -> None:
    _, new = ids
    page = admin.follow(merge(admin, ids))
    assert page.path == f"{LIST}/{new}"
    assert page.announced == "“phone-old” was merged into “phone-new”."
    assert "phone-old" in page.root.one("ul", class_="aliases").text


def test_message_names_both_devices_if_one_takes_over_the_name_of_the_other(
    admin: Visitor, ids: tuple[int, int]
) -> None:
    admin.change(f"{LIST}/{ids[0]}", "/name", name="Till")
    page = admin.follow(merge(admin, ids))
    assert page.announced == "“Till” was merged into “phone-new”, which has taken over its name."


def test_merge_in_a_dialog_leads_to_the_device(admin: Visitor, ids: tuple[int, int]) -> None:
    response = merge(admin, ids, htmx=True)
    assert response.headers["HX-Redirect"] == f"{LIST}/{ids[1]}"


def test_pages_of_a_merged_device_lead_to_the_other_one(
    admin: Visitor, ids: tuple[int, int]
) -> None:
    old, new = ids
    merge(admin, ids)
    for path in ("", "/history?kind=merged", "/block", "?endpoint=a&_scheme=b&_anchor=c&name=%26"):
        response = admin.get(f"{LIST}/{old}{path}")
        assert (response.status, response.location) == (302, f"{LIST}/{new}{path}")


@pytest.mark.parametrize(("query", "status"), [("from=2", 409), ("from=9", 404), ("from=x", 404)])
def test_impossible_merge_is_an_error_page(
    admin: Visitor, ids: tuple[int, int], query: str, status: int
) -> None:
    assert admin.get(f"{LIST}/2/merge?{query}").status == status


def test_alias_is_removed_on_the_page_of_the_device(admin: Visitor, ids: tuple[int, int]) -> None:
    _, new = ids
    merge(admin, ids)
    page = admin.follow(admin.change(f"{LIST}/{new}/unalias?identifier=phone-old", "/unalias"))
    assert (page.path, page.announced) == (f"{LIST}/{new}", "The alias “phone-old” was removed.")
    assert page.root.all("ul", class_="aliases") == []


def test_page_of_a_blocked_device_does_not_offer_to_remove_aliases(
    admin: Visitor, administrator: Administrator, ids: tuple[int, int]
) -> None:
    _, new = ids
    merge(admin, ids)
    administrator.block("phone-new")
    assert "/unalias" not in admin.get(f"{LIST}/{new}").html
    path = f"{LIST}/{new}/unalias?identifier={quote('phone-old')}"
    assert admin.change(path, "/unalias").status == 409


def test_message_about_a_merge_does_not_offer_to_undo_a_change_made_in_another_browser(
    app: Flask, admin: Visitor, session_cookie: str, ids: tuple[int, int], register: Register
) -> None:
    other_device = register("till-1")
    other_browser = signed_in_visitor(app, session_cookie)
    other_browser.change(f"{LIST}/{other_device}", "/name", name="Till")
    page = admin.follow(merge(admin, ids))
    status, offer = (page.root.one(id=f"apidevices-{name}") for name in ("status", "offer"))
    assert status.text == "“phone-old” was merged into “phone-new”."
    assert offer.one("span", class_="offer-text").text == "“Till” was renamed"
    assert not offer.all("span", class_="in-message")
