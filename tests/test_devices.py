"""What can be asked of devices and done to them, without any request."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from apidevices import devices, tokens
from apidevices.database import Database
from apidevices.devices import (
    PAGE_SIZE,
    Cursor,
    DeviceNotFound,
    Filters,
    InvalidCursor,
    InvalidInput,
    Page,
)
from apidevices.identity import DeviceIdentity
from apidevices.models import AuditEntry, Device
from tests.conftest import NOON, Register

LATER = NOON + timedelta(hours=1)


def identifiers(page: Page) -> list[str]:
    return [device.identifier for device in page.devices]


def found(db: Database, name: str = "", status: devices.Status = "all") -> set[str]:
    return set(identifiers(devices.page(db, Filters(name, status))))


def audit_log(db: Database, action: str) -> list[AuditEntry]:
    with db.read() as session:
        query = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)
        return list(session.scalars(query))


# --- cursors -----------------------------------------------------------------------------------


@given(
    st.sampled_from(["older", "newer"]),
    st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(0, 2**63 - 1),
)
def test_cursor_is_read_as_it_was_written(
    direction: Literal["older", "newer"], moment: datetime, device_id: int
) -> None:
    cursor = Cursor(direction, moment, device_id)
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "older",
        "older-1",
        "older-1-2-3",
        "sideways-1-2",
        "older-x-2",
        "older-1-x",
        "older--1-2",
        "older-1-9223372036854775808",
        "older-999999999999999999999-1",
        "older-1e3-1",
        f"older-{'9' * 5000}-1",
    ],
)
def test_broken_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        Cursor.parse(text)


@given(st.text() | st.from_regex(r"(older|newer)-.{0,30}-.{0,30}"))
def test_cursor_is_read_or_refused(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except InvalidCursor:
        return
    assert Cursor.parse(str(cursor)) == cursor


# --- the list ----------------------------------------------------------------------------------


def test_most_recently_active_comes_first(db: Database, register: Register) -> None:
    register("old", NOON)
    register("newest", NOON + timedelta(minutes=2))
    register("newer", NOON + timedelta(minutes=1))
    assert identifiers(devices.page(db, Filters())) == ["newest", "newer", "old"]


def test_id_breaks_ties(db: Database, register: Register) -> None:
    for identifier in ("first", "second", "third"):
        register(identifier, NOON)
    assert identifiers(devices.page(db, Filters())) == ["third", "second", "first"]


def test_every_device_is_on_one_page_there_and_back(db: Database, register: Register) -> None:
    # Several devices at each moment, so that pages end between equals.
    for number in range(2 * PAGE_SIZE + 10):
        register(f"device-{number:03}", NOON + timedelta(seconds=number // 7))
    expected = [f"device-{number:03}" for number in reversed(range(2 * PAGE_SIZE + 10))]

    first = devices.page(db, Filters())
    second = devices.page(db, Filters(), first.older)
    third = devices.page(db, Filters(), second.older)
    assert identifiers(first) + identifiers(second) + identifiers(third) == expected
    assert (first.newer, third.older) == (None, None)

    back = devices.page(db, Filters(), third.newer)
    assert identifiers(back) == identifiers(second)
    assert identifiers(devices.page(db, Filters(), back.newer)) == identifiers(first)


def test_a_full_page_alone_has_no_neighbours(db: Database, register: Register) -> None:
    for number in range(PAGE_SIZE):
        register(f"device-{number}")
    page = devices.page(db, Filters())
    assert (len(page.devices), page.newer, page.older) == (PAGE_SIZE, None, None)


def test_blocked_device_stands_where_it_was_blocked(db: Database, register: Register) -> None:
    blocked = register("blocked", NOON)
    register("active", NOON + timedelta(minutes=1))
    devices.block(db, blocked, actor="ann", now=LATER)
    assert identifiers(devices.page(db, Filters())) == ["blocked", "active"]
    devices.unblock(db, blocked, actor="ann", now=LATER)
    assert identifiers(devices.page(db, Filters())) == ["active", "blocked"]


# --- the filters -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        pytest.param("box", {"phone-1"}, id="part of the name"),
        pytest.param("PHONE", {"phone-1", "Phone_2"}, id="any case"),
        pytest.param("-1", {"phone-1"}, id="part of the identifier, where there is a name"),
        pytest.param("_", {"Phone_2"}, id="underscore is literal"),
        pytest.param("%", {"100%"}, id="percent is literal"),
        pytest.param("\\", set(), id="backslash is literal"),
        pytest.param("КАССА", {"kiosk"}, id="any case in any alphabet"),
        pytest.param("ｋａｓｓｅ", {"till"}, id="compatibility forms"),
        pytest.param("strasse", {"till"}, id="sharp s"),
        pytest.param("nothing like it", set(), id="no match"),
        pytest.param("", {"phone-1", "Phone_2", "100%", "kiosk", "till"}, id="no filter"),
    ],
)
def test_list_is_filtered_by_name(
    db: Database, register: Register, name: str, matches: set[str]
) -> None:
    named = {"phone-1": "Box Office iPad", "kiosk": "Касса 3", "till": "Kasse Hauptstraße"}
    for identifier in ("phone-1", "Phone_2", "100%", "kiosk", "till"):
        device_id = register(identifier)
        if identifier in named:
            devices.rename(db, device_id, named[identifier], actor="ann", now=NOON)
    assert found(db, name) == matches
    assert devices.count(db, Filters(name)) == len(matches)


@pytest.mark.parametrize(
    ("status", "matches"),
    [("all", {"kept", "shut"}), ("active", {"kept"}), ("blocked", {"shut"})],
)
def test_list_is_filtered_by_status(
    db: Database, register: Register, status: devices.Status, matches: set[str]
) -> None:
    register("kept")
    devices.block(db, register("shut"), actor="ann", now=LATER)
    assert found(db, status=status) == matches
    assert devices.count(db, Filters(status=status)) == len(matches)


def test_both_filters_hold_at_once(db: Database, register: Register) -> None:
    register("phone-1")
    devices.block(db, register("phone-2"), actor="ann", now=LATER)
    devices.block(db, register("till"), actor="ann", now=LATER)
    assert found(db, "phone", "blocked") == {"phone-2"}


def test_count_stops_where_it_is_many(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "COUNT_LIMIT", 3)
    for number in range(6):
        register(f"device-{number}")
    assert devices.count(db, Filters()) == 4


# --- renaming ----------------------------------------------------------------------------------


def test_name_replaces_the_identifier_on_display(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    assert devices.get(db, device_id).display_name == "phone-1"
    devices.rename(db, device_id, "Box Office", actor="ann", now=NOON)
    renamed = devices.get(db, device_id)
    assert (renamed.display_name, renamed.identifier) == ("Box Office", "phone-1")


def test_empty_name_returns_a_device_to_its_identifier(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.rename(db, device_id, "Box Office", actor="ann", now=NOON)
    devices.rename(db, device_id, "  ", actor="ann", now=NOON)
    assert devices.get(db, device_id).display_name == "phone-1"
    assert found(db, "box") == set()


def test_name_is_cleaned(db: Database, register: Register) -> None:
    renamed = devices.rename(db, register("phone-1"), " Box \n\x00Office ", actor="ann", now=NOON)
    assert renamed.name == "Box Office"


def test_name_has_255_characters_at_most(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.rename(db, device_id, "é" * 255, actor="ann", now=NOON)
    with pytest.raises(InvalidInput, match="255"):
        devices.rename(db, device_id, "é" * 256, actor="ann", now=NOON)
    assert devices.get(db, device_id).name == "é" * 255


def test_name_has_something_to_see(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    with pytest.raises(InvalidInput, match="seen"):
        devices.rename(db, device_id, "\u200b\u3164", actor="ann", now=NOON)
    assert devices.get(db, device_id).name is None


def test_renaming_is_on_record_once(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    for _ in range(2):
        devices.rename(db, device_id, "Box Office", actor="ann", now=LATER)
    [entry] = audit_log(db, "device.renamed")
    assert (entry.actor, entry.subject, entry.at) == ("ann", f"device:{device_id}", LATER)
    assert entry.details == {"old": None, "new": "Box Office"}


# --- blocking ----------------------------------------------------------------------------------


def blocked_fields(device: Device) -> tuple[object, ...]:
    return device.status, device.blocked_at, device.block_reason, device.blocked_by


def test_block_keeps_when_why_and_by_whom(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.block(db, device_id, reason=" stolen\n", actor="ann", now=LATER)
    device = devices.get(db, device_id)
    assert blocked_fields(device) == ("blocked", LATER, "stolen", "ann")
    assert device.activity.last_activity_at == LATER
    assert device.activity.last_active_at == NOON


def test_blocking_again_changes_nothing(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.block(db, device_id, reason="stolen", actor="ann", now=LATER)
    devices.block(db, device_id, actor="bob", now=LATER + timedelta(hours=1))
    device = devices.get(db, device_id)
    assert blocked_fields(device) == ("blocked", LATER, "stolen", "ann")
    assert len(audit_log(db, "device.blocked")) == 1


def test_unblock_takes_the_block_away_whole(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.block(db, device_id, reason="lost", actor="ann", now=LATER)
    devices.unblock(db, device_id, actor="ann", now=LATER)
    device = devices.get(db, device_id)
    assert blocked_fields(device) == ("active", None, None, None)
    assert device.activity.last_activity_at == NOON


def test_unblocking_an_active_device_changes_nothing(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.unblock(db, device_id, actor="ann", now=LATER)
    assert devices.get(db, device_id).activity.last_activity_at == NOON
    assert audit_log(db, "device.unblocked") == []


def test_block_and_unblock_are_on_record(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.block(db, device_id, reason="lost", actor="ann", now=NOON)
    devices.unblock(db, device_id, actor="bob", now=LATER)
    [blocked] = audit_log(db, "device.blocked")
    [unblocked] = audit_log(db, "device.unblocked")
    assert (blocked.actor, blocked.at, blocked.details) == ("ann", NOON, {"reason": "lost"})
    assert (unblocked.actor, unblocked.at, unblocked.details) == ("bob", LATER, {})


def test_report_that_a_block_overtook_changes_nothing(db: Database, register: Register) -> None:
    device_id = register("phone-1", model="iPhone 14")
    devices.block(db, device_id, actor="ann", now=LATER)
    token = tokens.issue(db, "test", actor="ann", now=NOON)[0]
    identity = DeviceIdentity("phone-1", {"model": "iPhone 15"})
    reported = devices.report(db, identity, token_id=token.id, address=None, now=LATER)
    assert (reported.device_id, reported.blocked) == (device_id, True)
    assert devices.get(db, device_id).model == "iPhone 14"
    assert len(devices.history(db, device_id)) == 1


def test_reason_has_1000_characters_at_most(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    with pytest.raises(InvalidInput, match="1,000"):
        devices.block(db, device_id, reason="x" * 1001, actor="ann", now=LATER)
    assert devices.get(db, device_id).status == "active"
    devices.block(db, device_id, reason="x" * 1000, actor="ann", now=LATER)
    assert devices.get(db, device_id).block_reason == "x" * 1000


# --- nothing there -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda db: devices.get(db, 7), id="get"),
        pytest.param(lambda db: devices.by_identifier(db, "phone-1"), id="by identifier"),
        pytest.param(lambda db: devices.rename(db, 7, "x", actor="ann", now=NOON), id="rename"),
        pytest.param(lambda db: devices.block(db, 7, actor="ann", now=NOON), id="block"),
        pytest.param(lambda db: devices.unblock(db, 7, actor="ann", now=NOON), id="unblock"),
    ],
)
def test_a_device_that_is_not_there_is_not_found(
    db: Database, act: Callable[[Database], Device]
) -> None:
    with pytest.raises(DeviceNotFound):
        act(db)


def test_identifiers_differ_by_case(db: Database, register: Register) -> None:
    assert register("phone-1") != register("PHONE-1")
    assert devices.by_identifier(db, "PHONE-1").identifier == "PHONE-1"


def test_a_history_that_fills_its_page_has_no_next_one(db: Database, register: Register) -> None:
    for number in range(devices.PAGE_SIZE):
        device_id = register("phone-1", application_version=str(number))
    entries, older = devices.history_page(db, device_id)
    assert (len(entries), older) == (devices.PAGE_SIZE, None)
    register("phone-1", application_version="one more")
    entries, older = devices.history_page(db, device_id)
    assert (len(entries), older) == (devices.PAGE_SIZE, entries[-1].id)
    [first] = devices.history_page(db, device_id, older)[0]
    assert first.kind == "registered"
