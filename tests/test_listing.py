"""The list of devices: its order, its pages, its filters and its counts."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apidevices import devices, listing
from apidevices.activity import ActivityBuffer
from apidevices.database import Database
from apidevices.errors import InvalidInput
from apidevices.listing import (
    PAGE_SIZE,
    Count,
    Cursor,
    Filters,
    Page,
    Status,
    limits,
    search,
    strategies,
)
from tests.conftest import NOON, Register

LATER = NOON + timedelta(hours=1)


def identifiers(page: Page) -> list[str]:
    return [device.identifier for device in page.devices]


def found(db: Database, name: str = "", status: Status = "all") -> set[str]:
    return set(identifiers(listing.page(db, Filters(name, status))))


# --- cursors -----------------------------------------------------------------------------------


@given(
    st.sampled_from(["older", "newer"]),
    st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the zone follows
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
    with pytest.raises(InvalidInput):
        Cursor.parse(text)


@given(st.text() | st.from_regex(r"(older|newer)-.{0,30}-.{0,30}"))
def test_cursor_is_read_or_refused(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except InvalidInput:
        return
    assert Cursor.parse(str(cursor)) == cursor


# --- the list ----------------------------------------------------------------------------------


def test_most_recently_active_comes_first(db: Database, register: Register) -> None:
    register("old", NOON)
    register("newest", NOON + timedelta(minutes=2))
    register("newer", NOON + timedelta(minutes=1))
    assert identifiers(listing.page(db, Filters())) == ["newest", "newer", "old"]


def test_id_breaks_ties(db: Database, register: Register) -> None:
    for identifier in ("first", "second", "third"):
        register(identifier, NOON)
    assert identifiers(listing.page(db, Filters())) == ["third", "second", "first"]


def test_every_device_is_on_one_page_there_and_back(db: Database, register: Register) -> None:
    # Several devices at each moment, so that pages end between equals.
    for number in range(2 * PAGE_SIZE + 10):
        register(f"device-{number:03}", NOON + timedelta(seconds=number // 7))
    expected = [f"device-{number:03}" for number in reversed(range(2 * PAGE_SIZE + 10))]

    first = listing.page(db, Filters())
    second = listing.page(db, Filters(), first.older)
    third = listing.page(db, Filters(), second.older)
    assert identifiers(first) + identifiers(second) + identifiers(third) == expected
    assert (first.newer, third.older) == (None, None)

    back = listing.page(db, Filters(), third.newer)
    assert identifiers(back) == identifiers(second)
    assert identifiers(listing.page(db, Filters(), back.newer)) == identifiers(first)


def test_a_full_page_alone_has_no_neighbours(db: Database, register: Register) -> None:
    for number in range(PAGE_SIZE):
        register(f"device-{number}")
    page = listing.page(db, Filters())
    assert (len(page.devices), page.newer, page.older) == (PAGE_SIZE, None, None)


def test_blocked_device_stands_where_it_was_blocked(db: Database, register: Register) -> None:
    blocked = register("blocked", NOON)
    register("active", NOON + timedelta(minutes=1))
    devices.block(db, blocked, actor="ann", now=LATER)
    assert identifiers(listing.page(db, Filters())) == ["blocked", "active"]
    devices.unblock(db, blocked, actor="ann", now=LATER)
    assert identifiers(listing.page(db, Filters())) == ["active", "blocked"]


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
    assert listing.page(db, Filters(name)).count == Count(len(matches), exact=True)


@pytest.mark.parametrize(
    ("status", "matches"),
    [("all", {"kept", "shut"}), ("active", {"kept"}), ("blocked", {"shut"})],
)
def test_list_is_filtered_by_status(
    db: Database, register: Register, status: Status, matches: set[str]
) -> None:
    register("kept")
    devices.block(db, register("shut"), actor="ann", now=LATER)
    assert found(db, status=status) == matches
    assert listing.page(db, Filters(status=status)).count == Count(len(matches), exact=True)


def test_both_filters_hold_at_once(db: Database, register: Register) -> None:
    register("phone-1")
    devices.block(db, register("phone-2"), actor="ann", now=LATER)
    devices.block(db, register("till"), actor="ann", now=LATER)
    assert found(db, "phone", "blocked") == {"phone-2"}


@pytest.mark.parametrize(
    ("name", "status", "count"),
    [
        ("", "all", Count(3, exact=False)),
        ("", "active", Count(3, exact=False)),
        ("", "blocked", Count(1, exact=True)),
        ("device", "all", Count(3, exact=False)),
        ("device-5", "all", Count(1, exact=True)),
        # Those that are blocked are few: they are counted, and the others are the rest at least.
        ("device", "blocked", Count(1, exact=True)),
        ("device", "active", Count(2, exact=False)),
    ],
)
def test_count_stops_where_it_is_many(
    db: Database,
    register: Register,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    status: Status,
    count: Count,
) -> None:
    monkeypatch.setattr(limits, "COUNT_LIMIT", 3)
    for number in range(6):
        register(f"device-{number}")
    devices.block(db, register("device-6"), actor="ann", now=LATER)
    assert listing.page(db, Filters(name, status)).count == count


def test_text_that_only_the_latest_devices_have_is_counted(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "COUNT_LIMIT", 3)
    for number in range(6):
        register(f"tablet-{number}")
    for number in range(2):
        register(f"kiosk-{number}", LATER)
    monkeypatch.setattr(limits, "COMMON_MATCHES", 2)
    assert listing.page(db, Filters("kiosk")).count == Count(2, exact=True)


@pytest.mark.parametrize(
    ("count", "text"), [(Count(1_234, True), "1,234"), (Count(50, False), "50+")]
)
def test_count_says_when_there_may_be_more(count: Count, text: str) -> None:
    assert str(count) == text


# --- the search --------------------------------------------------------------------------------


def test_search_follows_a_new_name(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    for name in ("Kasse", "Büro"):
        devices.rename(db, device_id, name, actor="ann", now=NOON)
    assert found(db, "büro") == {"phone-1"}
    assert found(db, "kas") == found(db, "k") == set()


def test_search_stays_with_a_device_that_is_blocked(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.block(db, device_id, actor="ann", now=LATER)
    assert found(db, "phone") == found(db, "ph", "blocked") == {"phone-1"}
    devices.unblock(db, device_id, actor="ann", now=LATER)
    assert found(db, "phone") == found(db, "ph", "active") == {"phone-1"}


@pytest.mark.parametrize("text", ["e-1", "-1", "1", "e\u0301", "红米", "米", '"', "'", "--", "a b"])
def test_each_end_and_each_character_is_found(db: Database, register: Register, text: str) -> None:
    register("another")
    register(text)
    register(f"x{text}")
    register(f"{text}x")
    assert found(db, text) == {text, f"x{text}", f"{text}x"}


ALPHABET = "ab-é米"
"""So few characters that texts meet by accident."""


@pytest.fixture
def fleet(db: Database, register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices whose texts meet, on pages so small that every way to find them is taken."""
    monkeypatch.setattr(limits, "PAGE_SIZE", 3)
    monkeypatch.setattr(limits, "FIRST_SCAN", 5)
    monkeypatch.setattr(limits, "COMMON_MATCHES", 2)
    monkeypatch.setattr(limits, "COUNT_LIMIT", 12)
    monkeypatch.setattr(limits, "LONG_SCAN", 10)
    monkeypatch.setattr(limits, "SORT_LIMIT", 16)
    for number in range(60):
        digits = [(number * 7 + 3) // 5**place % 5 for place in range(4)]
        identifier = "".join(ALPHABET[digit] for digit in digits)
        device_id = register(f"{identifier}{number:02}", NOON + timedelta(seconds=number // 4))
        if number % 3 == 0:
            devices.rename(db, device_id, identifier[::-1], actor="ann", now=NOON)
        if number % 5 == 0:
            moment = NOON + timedelta(seconds=30 - number // 2)
            devices.block(db, device_id, actor="ann", now=moment)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # nothing is written by examples
)
@given(
    st.text(ALPHABET + "01", min_size=1, max_size=4), st.sampled_from(["all", "active", "blocked"])
)
def test_pages_are_what_a_search_of_everything_finds(
    fleet: None, db: Database, text: str, status: Status
) -> None:
    filters = Filters(text, status)
    expected = [
        device.identifier
        for device in listing.find_all(db, Filters())
        if search.fold(text) in search.search_key(device.identifier, device.name)
        and status in ("all", device.status)
    ]
    assert [device.identifier for device in listing.find_all(db, filters)] == expected

    page = listing.page(db, filters)
    there = identifiers(page)
    if page.count.exact:
        assert page.count.number == len(expected)
    else:
        assert page.count.number <= len(expected)
    while page.older:
        last, page = page, listing.page(db, filters, page.older)
        there += identifiers(page)
        assert page.newer is not None
        assert identifiers(listing.page(db, filters, page.newer)) == identifiers(last)
    assert there == expected


def test_device_that_moves_while_it_is_looked_for_is_found_once(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAGE_SIZE", 5)
    monkeypatch.setattr(limits, "FIRST_SCAN", 5)
    monkeypatch.setattr(limits, "COMMON_MATCHES", 1)
    monkeypatch.setattr(limits, "COUNT_LIMIT", 4)
    for number in range(60):
        kind = "apple" if number % 4 == 0 else "pear"
        register(f"{kind}-{number:02}", NOON - timedelta(minutes=number))
    moments = count(1)
    buffer = ActivityBuffer(db, interval=3600, limit=100)
    scan = strategies.scan

    def scan_and_move(*arguments: Any) -> Any:
        found = scan(*arguments)
        for device_id in (41, 45, 49, 53):
            buffer.record_request(
                device_id, None, NOON + timedelta(minutes=next(moments)), upload=False
            )
        buffer.flush()
        return found

    monkeypatch.setattr(strategies, "scan", scan_and_move)
    found = identifiers(listing.page(db, Filters("apple")))
    buffer.close()
    assert found == [f"apple-{number:02}" for number in (0, 4, 8, 12, 16)]
