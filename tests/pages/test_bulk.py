"""Changes of many devices: confirmation, result and undo."""

import time
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from apidevices import devices, signals, upkeep
from apidevices.database import Database, reserve
from apidevices.identity import DeviceIdentity
from apidevices.models import Device, Operation, OperationDevice
from apidevices.operations import Runner, runner, storing
from tests.conftest import NOON, Administrator, FakeClock, MakeApp, Register, state_of
from tests.pages.conftest import SECRET_KEY, create_and_sign_in, signed_in_visitor
from tests.pages.device_list import LIST
from tests.pages.visitor import Page, Visitor

BULK = f"{LIST}/bulk"


@pytest.fixture
def phones(register: Register) -> list[int]:
    """The ids of seven devices, the last one most recently active."""
    return [register(f"phone-{n}", at=NOON - timedelta(minutes=9 - n)) for n in range(1, 8)]


def statuses(administrator: Administrator) -> dict[str, str]:
    return {device["identifier"]: device["status"] for device in administrator.devices()}


def confirm(admin: Visitor, query: str, **typed: str) -> Page:
    """Open a confirmation and submit it."""
    return admin.submit(admin.get(f"{BULK}?{query}"), "/bulk", htmx=False, **typed)


def undo(admin: Visitor, page: Page) -> Page:
    """Press Undo on a page, and return the page that follows."""
    return admin.follow(admin.submit(page, "/undo"))


@pytest.mark.database("sqlite")
def test_confirmation_names_the_number_and_the_first_devices(
    admin: Visitor, phones: list[int]
) -> None:
    page = admin.get(f"{BULK}?action=block&all=1&expected=7")
    assert "Block 7 devices?" in page.text
    names = [item.text for item in page.root.one("form", class_="confirmation").all("li")]
    assert names == ["phone-7", "phone-6", "phone-5", "phone-4", "phone-3", "and 2 more"]


def test_selected_devices_are_blocked_with_one_reason(
    admin: Visitor, administrator: Administrator, phones: list[int]
) -> None:
    page = admin.follow(
        confirm(admin, f"action=block&id={phones[0]}&id={phones[2]}", reason="Lost")
    )
    assert page.announced == "2 devices were blocked."
    blocked = [device for device in administrator.devices() if device["status"] == "blocked"]
    assert {(device["identifier"], device["block_reason"]) for device in blocked} == {
        ("phone-1", "Lost"),
        ("phone-3", "Lost"),
    }


def test_result_names_devices_that_did_not_change(
    admin: Visitor, administrator: Administrator, phones: list[int]
) -> None:
    page = admin.get(f"{BULK}?action=block&" + "&".join(f"id={phone}" for phone in phones))
    for identifier in ("phone-2", "phone-3"):
        administrator.block(identifier)
    path = f"/api/v1/devices/{phones[4]}"
    assert administrator.request("DELETE", path).status_code == 204
    result = admin.follow(admin.submit(page, "/bulk"))
    assert result.announced == (
        "4 devices were blocked, 2 were already blocked, 1 no longer exists."
    )


def test_changed_number_of_matching_devices_prevents_the_change(
    admin: Visitor, administrator: Administrator, phones: list[int], register: Register
) -> None:
    page = admin.get(f"{BULK}?action=delete&all=1&name=phone")
    register("phone-8")
    refused = admin.submit(page, "/bulk")
    assert refused.status == 422
    assert "matches 8 devices, not 7" in refused.text
    assert len(administrator.devices()) == 8
    assert admin.follow(admin.submit(refused, "/bulk")).announced == "8 devices were deleted."
    assert administrator.devices() == []


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("chosen", ["all=1", "all=1&expected=x", "all=0"])
def test_nothing_is_deleted_without_the_confirmed_number(
    admin: Visitor, administrator: Administrator, phones: list[int], chosen: str
) -> None:
    form = admin.get(f"{BULK}?action=delete&all=1").form("/bulk")
    token = form.one(name="csrf_token")["value"]
    admin.post(f"{BULK}?{chosen}", csrf_token=token, action="delete")
    assert len(administrator.devices()) == len(phones)


@pytest.mark.database("sqlite")
def test_more_ids_than_can_be_changed_at_once_are_rejected(
    admin: Visitor, administrator: Administrator, phones: list[int]
) -> None:
    form = admin.get(f"{BULK}?action=block&id={phones[0]}").form("/bulk")
    token = form.one(name="csrf_token")["value"]
    ids = "&".join(f"id={number}" for number in [phones[0], *range(10_000, 11_000)])
    page = admin.post(f"{BULK}?{ids}", csrf_token=token, action="block")
    assert page.status == 422
    assert "Select up to 1,000 devices" in page.text
    assert statuses(administrator)["phone-1"] == "active"


def test_end_of_a_block_is_in_the_zone_of_the_browser(
    admin: Visitor, administrator: Administrator, phones: list[int]
) -> None:
    typed = {"ends": "custom", "until": "2030-05-17T18:30", "zone": "+05:30"}
    confirm(admin, f"action=block&id={phones[0]}", **typed)
    assert administrator.device("phone-1")["blocked_until"][:19] == "2030-05-17T13:00:00"


@pytest.mark.database("sqlite")
def test_rejected_end_of_a_block_has_the_focus(admin: Visitor, phones: list[int]) -> None:
    past = {"ends": "custom", "until": "2020-01-01T10:00"}
    page = confirm(admin, f"action=block&id={phones[0]}", **past)
    assert page.status == 422
    [focused] = page.root.all("input", autofocus="")
    assert focused["name"] == "until"


def test_blocks_of_deleted_devices_are_kept_by_default(
    admin: Visitor, administrator: Administrator, phones: list[int]
) -> None:
    administrator.block("phone-1", reason="Lost")
    confirm(admin, "action=delete&all=1")
    [kept] = administrator.devices()
    assert (kept["identifier"], kept["block_reason"]) == ("phone-1", "Lost")


# --- undo --------------------------------------------------------------------------------------


def test_undone_unblock_restores_reason_and_time_of_the_block(
    admin: Visitor, administrator: Administrator, phones: list[int], fake_clock: FakeClock
) -> None:
    administrator.block("phone-1", reason="Lost")
    blocked = administrator.device("phone-1")
    fake_clock.set(NOON + timedelta(seconds=5))
    page = admin.follow(confirm(admin, "action=unblock&all=1"))
    assert page.announced == "1 device was unblocked, 6 were not blocked."
    assert undo(admin, page).announced == "Undone. 1 device was restored."
    assert administrator.device("phone-1") == blocked


def test_undo_leaves_devices_alone_that_have_changed_since(
    admin: Visitor, administrator: Administrator, phones: list[int]
) -> None:
    page = admin.follow(confirm(admin, "action=block&all=1", reason="Stolen"))
    administrator.unblock("phone-1")
    administrator.block("phone-1", reason="Lost")
    assert undo(admin, page).announced == (
        "Undone. 6 devices were restored, 1 has changed since and was not restored."
    )
    assert [name for name, status in statuses(administrator).items() if status == "blocked"] == [
        "phone-1"
    ]


@pytest.mark.parametrize("action", ["tag", "untag"])
def test_undone_change_of_tags_restores_the_tags_of_each_device(
    admin: Visitor, administrator: Administrator, phones: list[int], action: str
) -> None:
    path = f"/api/v1/devices/{phones[0]}"
    administrator.request("PATCH", path, json={"tags": ["Team A", "Door"]})
    page = admin.follow(confirm(admin, f"action={action}&all=1", tag="team a, New"))
    assert administrator.device("phone-1")["tags"] != ["Door", "Team A"]
    undo(admin, page)
    tags = {device["identifier"]: device["tags"] for device in administrator.devices()}
    assert tags == {f"phone-{n}": ["Door", "Team A"] if n == 1 else [] for n in range(1, 8)}


@pytest.mark.database("sqlite")
def test_change_can_be_undone_once(admin: Visitor, phones: list[int]) -> None:
    page = admin.follow(confirm(admin, f"action=block&id={phones[0]}"))
    assert not undo(admin, page).root.all("form", action="/undo")
    assert undo(admin, page).announced == "This change has already been undone."


@pytest.mark.database("sqlite")
def test_undo_is_offered_on_every_page_for_a_minute(
    admin: Visitor, phones: list[int], fake_clock: FakeClock
) -> None:
    confirm(admin, f"action=block&id={phones[0]}")
    fake_clock.set(NOON + timedelta(seconds=59))
    pages = [LIST, f"{LIST}/{phones[1]}", "/settings/api-tokens", "/settings/account"]
    offers = [admin.get(path).root.one(id="apidevices-offer").text for path in pages]
    assert offers == ["“phone-1” was blocked Undo"] * 4
    page = admin.get(LIST)
    fake_clock.set(NOON + timedelta(minutes=2))
    assert admin.get(LIST).root.one(id="apidevices-offer").text == ""
    assert undo(admin, page).announced.startswith("It is too late")


@pytest.mark.database("sqlite")
def test_undo_says_what_it_undoes_beside_a_message_about_something_else(
    admin: Visitor, phones: list[int]
) -> None:
    blocked = admin.follow(confirm(admin, f"action=block&id={phones[0]}"))
    other = admin.follow(admin.get(f"{BULK}?action=block"))
    assert other.announced.startswith("No devices are selected.")
    hidden = [
        len(page.root.all("span", class_="offer-text in-message")) for page in (blocked, other)
    ]
    assert hidden == [1, 0]


@pytest.mark.database("sqlite")
def test_only_the_account_that_changed_devices_can_undo_it(
    app: Flask, admin: Visitor, phones: list[int]
) -> None:
    page = admin.follow(confirm(admin, f"action=block&id={phones[0]}"))
    [form] = page.root.one(id="apidevices-offer").all("form")
    other = create_and_sign_in(app, "bob@example.org")
    assert other.get(LIST).root.one(id="apidevices-offer").text == ""
    confirmation = other.get(f"{BULK}?action=block&id={phones[1]}").form("/bulk")
    token = confirmation.one(name="csrf_token")["value"]
    assert other.post(form["action"], csrf_token=token).status == 404


@pytest.mark.database("sqlite")
def test_undo_survives_an_invalid_referrer(admin: Visitor, phones: list[int]) -> None:
    page = admin.follow(confirm(admin, f"action=block&id={phones[0]}"))
    form = page.form("/undo")
    data = {"csrf_token": form.one(name="csrf_token")["value"]}
    response = admin.client.post(form["action"], data=data, headers={"Referer": "http://["})
    assert (response.status_code, response.location) == (303, LIST)


@pytest.mark.database("sqlite")
def test_deletion_can_not_be_undone(admin: Visitor, phones: list[int]) -> None:
    page = admin.follow(confirm(admin, f"action=delete&id={phones[0]}"))
    assert page.announced == "1 device was deleted."
    assert page.root.one(id="apidevices-offer").text == ""


# --- many devices ------------------------------------------------------------------------------


@pytest.fixture
def _tiny_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "SMALL", 2)
    monkeypatch.setattr(runner, "STEP", 3)


def result_of(admin: Visitor, response: Page) -> Page:
    """Wait until an operation has finished, and return its page."""
    while True:
        page = admin.follow(response)
        if not page.root.all("progress"):
            return page
        time.sleep(0.05)


@pytest.mark.usefixtures("_tiny_steps")
def test_many_devices_are_changed_and_restored_in_the_background(
    admin: Visitor, administrator: Administrator, phones: list[int]
) -> None:
    page = result_of(admin, confirm(admin, "action=block&all=1"))
    assert "7 devices were blocked." in page.text
    assert set(statuses(administrator).values()) == {"blocked"}
    page = result_of(admin, admin.submit(page, "/undo"))
    assert "7 devices were restored." in page.text
    assert set(statuses(administrator).values()) == {"active"}


@pytest.mark.database("sqlite")
@pytest.mark.usefixtures("_tiny_steps")
def test_no_device_is_tagged_if_the_last_one_would_have_too_many_tags(
    admin: Visitor, administrator: Administrator, phones: list[int]
) -> None:
    tags = [f"Tag {number}" for number in range(50)]
    administrator.request("PATCH", f"/api/v1/devices/{phones[-1]}", json={"tags": tags})
    page = confirm(admin, "action=tag&all=1", tag="New")
    assert page.status == 422
    assert "A device can have at most 50 tags, and 1 of these devices would" in page.text
    assert {len(device["tags"]) for device in administrator.devices()} == {0, 50}


@pytest.mark.usefixtures("_tiny_steps")
def test_progress_page_resumes_an_interrupted_operation(
    app: Flask, admin: Visitor, db: Database, phones: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Runner, "start", lambda *_: None)
        response = confirm(admin, "action=delete&all=1")
        [progress] = admin.follow(response).root.all("progress")
        assert (progress["value"], progress["max"]) == ("0", "7")
    assert "7 devices were deleted." in result_of(admin, response).text


@pytest.mark.database("sqlite")
@pytest.mark.usefixtures("_tiny_steps")
def test_interrupted_block_does_not_continue_after_its_end(
    admin: Visitor, administrator: Administrator, phones: list[int],
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with monkeypatch.context() as broken:
        broken.setattr(Runner, "start", lambda *_: None)
        until = {"ends": "custom", "until": "2030-05-17T12:10"}
        response = confirm(admin, "action=block&all=1", **until)
    fake_clock.set(NOON + timedelta(minutes=11))
    page = result_of(admin, response)
    assert "7 are left. The end of the block has passed." in page.text
    assert set(statuses(administrator).values()) == {"active"}


@pytest.mark.database("sqlite")
@pytest.mark.usefixtures("_tiny_steps")
def test_large_change_of_tags_leaves_the_disk_reserve_to_blocks(
    make_app: MakeApp, session_cookie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(SECRET_KEY=SECRET_KEY, APIDEVICES_DISK_RESERVE="2")
    admin, db = signed_in_visitor(app, session_cookie), state_of(app).db
    for name in ("phone-1", "phone-2", "phone-3"):
        devices.report(db, DeviceIdentity(name, {}), token_id=None, address=None, now=NOON)
    with monkeypatch.context() as disk:
        disk.setattr(reserve, "free_space", lambda _path: 0)
        tagged = confirm(admin, "action=tag&all=1", tag="New")
        blocked = result_of(admin, confirm(admin, "action=block&all=1"))
        assert "3 devices were blocked." in blocked.text
        [progress] = admin.follow(tagged).root.all("progress")
        assert progress["value"] == "0"
    assert "3 devices were tagged." in result_of(admin, tagged).text


def test_operations_are_deleted_after_a_day(
    app: Flask, admin: Visitor, db: Database, phones: list[int]
) -> None:
    confirm(admin, "action=block&all=1")
    for days, kept in ((0.9, 1), (1.1, 0)):
        upkeep.run(db, state_of(app).upkeep, now=NOON + timedelta(days=days))
        with db.read() as session:
            assert session.scalar(select(func.count()).select_from(Operation)) == kept


def test_deleted_device_is_deleted_from_operations(
    admin: Visitor, administrator: Administrator, db: Database, phones: list[int]
) -> None:
    query = "&".join(f"id={phone}" for phone in phones)
    confirm(admin, f"action=block&{query}", reason="Anna lost it")
    administrator.request("DELETE", f"/api/v1/devices/{phones[0]}")
    with db.read() as session:
        assert "Anna" not in str(session.scalars(select(Operation.arguments)).all())
        assert phones[0] not in session.scalars(select(OperationDevice.device_id)).all()


@pytest.mark.database("sqlite")
def test_nothing_is_kept_of_a_device_that_is_deleted_right_after_it_was_renamed(
    app: Flask, admin: Visitor, db: Database, phones: list[int]
) -> None:
    def delete(_sender: Flask, device: Device, **_details: object) -> None:
        devices.delete(db, device.id, actor="bob", now=NOON)

    with signals.device_renamed.connected_to(delete, sender=app):
        admin.change(f"{LIST}/{phones[0]}", "/name", name="Anna's phone")
    with db.read() as session:
        assert session.scalars(select(OperationDevice.before)).all() == []
