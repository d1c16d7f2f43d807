"""Marks on the page of a device, in the list and on the page with suggestions."""

from datetime import timedelta

import pytest

from apidevices import devices
from apidevices.database import Database
from tests.conftest import NOON, Register
from tests.pages.device_list import LIST
from tests.pages.visitor import Visitor

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture
def shared(register: Register) -> int:
    """The id of a device that may be several."""
    for minutes, model in enumerate(("Tab 5", "Pixel 8", "Tab 5")):
        device_id = register("phone-1", at=NOON + timedelta(minutes=minutes), model=model)
    return device_id


@pytest.fixture
def again(db: Database, register: Register) -> int:
    """The id of a device that may be a blocked one."""
    blocked = register("phone-1", model="Tab 5")
    devices.block(db, blocked, reason="Stolen", actor="ann", now=NOON)
    return register("phone-2", at=NOON + timedelta(hours=1), model="Tab 5")


def test_list_and_page_show_that_a_device_may_be_several(admin: Visitor, shared: int) -> None:
    assert "May be several devices" in admin.get(f"{LIST}?shared=1").text
    mark = " ".join(admin.get(f"{LIST}/{shared}").root.one("section", class_="mark").text.split())
    assert "Pixel 8" in mark
    assert "from 192.0.2.1 with the token registration" in mark
    assert "1 swing, the first one" in mark


def test_dismissal_removes_the_mark_from_the_page(admin: Visitor, shared: int) -> None:
    path = f"/{shared}/marks/1/dismiss"
    page = admin.follow(admin.change(f"{LIST}/{shared}", path))
    assert page.announced == "The mark was dismissed."
    assert not page.root.all("section", class_="mark")


def test_both_devices_of_a_pair_show_the_suggestion(admin: Visitor, again: int) -> None:
    for device_id, other in ((again, "phone-1"), (1, "phone-2")):
        mark = admin.get(f"{LIST}/{device_id}").root.one("section", class_="mark")
        assert "phone-2 may be phone-1" in " ".join(mark.text.split())
        assert [link.text for link in mark.all("p")[0].all("a")] == [other]


def test_block_of_a_returned_device_suggests_the_reason(admin: Visitor, again: int) -> None:
    page = admin.get(f"{LIST}/{again}")
    [link] = [a for a in page.root.all("a") if "reason=" in (a["href"] or "")]
    reason = admin.get(link["href"]).root.one("input", name="reason")["value"]
    assert reason == "Same device as phone-1: Stolen"


def test_suggestions_are_listed_and_counted_in_the_navigation(admin: Visitor, again: int) -> None:
    page = admin.get(f"{LIST}/suggestions")
    assert "May be the blocked device" in page.root.one("section", class_="mark").text
    assert "Suggestions (1)" in admin.get(LIST).text


def test_dismissal_of_a_suggestion_returns_to_the_suggestions(admin: Visitor, again: int) -> None:
    response = admin.change(f"{LIST}/suggestions", f"/{again}/marks/1/dismiss")
    assert response.location.endswith("/suggestions")
    page = admin.follow(response)
    assert "There are no suggestions." in page.text
    assert "Suggestions (" not in admin.get(LIST).text
