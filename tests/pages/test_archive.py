"""Archive devices on the pages."""

import pytest

from apidevices import devices
from apidevices.database import Database
from tests.conftest import NOON, Administrator, Register
from tests.pages.device_list import LIST, device_names
from tests.pages.test_bulk import confirm, undo
from tests.pages.visitor import Visitor


@pytest.fixture
def old(db: Database, register: Register) -> int:
    """The id of an archived device beside another one."""
    register("phone-1")
    device_id = register("tablet-1")
    devices.archive(db, device_id, actor="ann", now=NOON)
    return device_id


def test_device_is_archived_on_its_page_and_the_change_undone(
    admin: Visitor, administrator: Administrator, phone: int
) -> None:
    page = admin.follow(admin.submit(admin.get(f"{LIST}/{phone}/archive"), "/archive", htmx=False))
    assert page.announced == "“phone-1” is archived. Its next request brings it back."
    assert [pill.text for pill in page.root.all(class_="pill")] == ["Archived"]
    assert administrator.devices() == []
    undo(admin, page)
    assert administrator.device()["archived_at"] is None


def test_return_from_the_archive_is_undone_with_the_former_time(
    admin: Visitor, administrator: Administrator, old: int
) -> None:
    page = admin.follow(
        admin.submit(admin.get(f"{LIST}/{old}/unarchive"), "/unarchive", htmx=False)
    )
    assert len(administrator.devices()) == 2
    undo(admin, page)
    [archived] = administrator.devices("?archived=1")
    assert archived["archived_at"] == "2030-05-17T12:00:00.000000Z"


def test_all_archived_devices_that_match_are_unarchived_and_that_is_undone(
    admin: Visitor, administrator: Administrator, old: int
) -> None:
    page = admin.follow(confirm(admin, "action=unarchive&all=1&archived=1&name=tablet"))
    assert page.announced == "1 device was unarchived."
    assert len(administrator.devices()) == 2
    undo(admin, page)
    assert len(administrator.devices()) == 1


@pytest.mark.database("sqlite")
def test_undo_leaves_a_device_that_has_come_back_by_itself(
    admin: Visitor, administrator: Administrator, db: Database, register: Register
) -> None:
    ids = [register(f"phone-{number}") for number in range(2)]
    chosen = "&".join(f"id={device_id}" for device_id in ids)
    page = admin.follow(confirm(admin, f"action=archive&{chosen}"))
    devices.unarchive(db, ids[0], actor="phone-0", now=NOON)
    result = undo(admin, page)
    assert "1 device was restored, 1 has changed since and was not restored." in result.announced
    assert len(administrator.devices()) == 2


@pytest.mark.database("sqlite")
def test_list_says_how_many_archived_devices_it_leaves_out(admin: Visitor, old: int) -> None:
    page = admin.get(LIST)
    assert device_names(page) == ["phone-1"]
    link = page.root.one(id="show-archived")
    assert link.text == "1 archived device"
    assert device_names(admin.get(link["href"])) == ["tablet-1"]


@pytest.mark.database("sqlite")
def test_search_that_finds_only_archived_devices_links_to_them(admin: Visitor, old: int) -> None:
    page = admin.get(f"{LIST}?name=tablet")
    assert "No device has “tablet” in its name or identifier." in page.text
    link = page.root.one(id="show-archived")
    assert device_names(admin.get(link["href"])) == ["tablet-1"]
    assert not admin.get(f"{LIST}?name=phone").root.all(id="show-archived")


@pytest.mark.database("sqlite")
def test_list_of_archived_devices_only_is_not_mistaken_for_an_empty_one(
    admin: Visitor, db: Database, phone: int
) -> None:
    devices.archive(db, phone, actor="ann", now=NOON)
    page = admin.get(LIST)
    assert "All devices are archived" in page.text
    assert page.root.all(id="show-archived")
