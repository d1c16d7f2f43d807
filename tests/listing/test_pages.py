"""The order of the list, its pages, and the cursors between them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apidevices import devices, listing
from apidevices.database import Database
from apidevices.errors import InvalidInput
from apidevices.listing import (
    CURSOR_PATTERN,
    PAGE_SIZE,
    Cursor,
    Filters,
    Sort,
    Status,
    limits,
    search,
)
from apidevices.listing.cursor import Direction
from apidevices.models import Device
from apidevices.text import MAX_LENGTH
from tests.conftest import NOON, Register
from tests.listing.conftest import LATER, identifiers

# --- cursors -----------------------------------------------------------------------------------


@given(
    st.sampled_from(["older", "newer"]),
    st.one_of(
        st.tuples(
            st.sampled_from(["activity", "-activity", "first_seen", "-first_seen"]),
            # Hypothesis requires a limit without a time zone.
            st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        ),
        st.tuples(
            st.sampled_from(["name", "-name"]),
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=255),
        ),
    ),
    st.integers(0, 2**63 - 1),
    st.integers(1, 10**9),
)
def test_cursor_survives_a_round_trip_through_text(
    direction: Direction, position: tuple[Sort, datetime | str], device_id: int, number: int
) -> None:
    cursor = Cursor(direction, *position, device_id, number)
    assert re.fullmatch(CURSOR_PATTERN, str(cursor))
    assert Cursor.parse(str(cursor), cursor.sort) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "older",
        "older.activity.1.1",
        "older.activity.1.1.1.1",
        "sideways.activity.1.1.1",
        "older.name.1.1.1",
        "older.-activity.1.1.1",
        "older.activity.0.1.1",
        "older.activity.x.1.1",
        "older.activity.1.x.1",
        "older.activity.1.1.x",
        "older.activity.1.-1.1",
        "older.activity.1.9223372036854775808.1",
        "older.activity.1.1.999999999999999999999",
        "older.activity.1.1.1e3",
        f"older.activity.1.1.{'9' * 5000}",
    ],
)
def test_malformed_cursor_is_rejected(text: str) -> None:
    with pytest.raises(InvalidInput):
        Cursor.parse(text)


@pytest.mark.parametrize("key", ["x", "AA", "gA", "a+b/"])
def test_cursor_with_a_name_that_is_not_text_is_rejected(key: str) -> None:
    with pytest.raises(InvalidInput):
        Cursor.parse(f"older.name.1.1.{key}", "name")


@given(
    st.text() | st.from_regex(r"(older|newer)\.(activity|name)\..{0,9}\..{0,30}\..{0,30}"),
    st.sampled_from(get_args(Sort)),
)
def test_parsing_arbitrary_text_returns_a_cursor_or_raises_invalid_input(
    text: str, sort: Sort
) -> None:
    try:
        cursor = Cursor.parse(text, sort)
    except InvalidInput:
        return
    assert Cursor.parse(str(cursor), sort) == cursor


def test_cursor_of_another_order_is_rejected(db: Database) -> None:
    with pytest.raises(InvalidInput, match="another order"):
        listing.page(db, Filters(), Cursor("older", "activity", NOON, 1), sort="name")


# --- order and pages ---------------------------------------------------------------------------


def test_most_recently_active_device_comes_first(db: Database, register: Register) -> None:
    register("oldest", NOON)
    register("newest", NOON + timedelta(minutes=2))
    register("middle", NOON + timedelta(minutes=1))
    assert identifiers(listing.page(db, Filters())) == ["newest", "middle", "oldest"]


def test_higher_id_comes_first_at_equal_times(db: Database, register: Register) -> None:
    for identifier in ("first", "second", "third"):
        register(identifier, NOON)
    assert identifiers(listing.page(db, Filters())) == ["third", "second", "first"]


def test_cursors_visit_every_device_once_forwards_and_backwards(
    db: Database, register: Register
) -> None:
    # Seven devices share each time, so that page boundaries fall between equal times.
    for number in range(2 * PAGE_SIZE + 10):
        register(f"device-{number:03}", NOON + timedelta(seconds=number // 7))
    expected = [f"device-{number:03}" for number in reversed(range(2 * PAGE_SIZE + 10))]

    first = listing.page(db, Filters())
    second = listing.page(db, Filters(), first.older)
    third = listing.page(db, Filters(), second.older)
    assert identifiers(first) + identifiers(second) + identifiers(third) == expected
    assert (first.newer, third.older) == (None, None)
    assert [page.first for page in (first, second, third)] == [1, 51, 101]

    back = listing.page(db, Filters(), third.newer)
    assert (identifiers(back), back.first) == (identifiers(second), 51)
    start = listing.page(db, Filters(), back.newer)
    assert (identifiers(start), start.first) == (identifiers(first), 1)


def test_single_full_page_has_no_cursors(db: Database, register: Register) -> None:
    for number in range(PAGE_SIZE):
        register(f"device-{number}")
    page = listing.page(db, Filters())
    assert (len(page.devices), page.newer, page.older) == (PAGE_SIZE, None, None)


def test_blocked_device_is_sorted_by_the_time_of_its_block(
    db: Database, register: Register
) -> None:
    blocked = register("blocked", NOON)
    register("active", NOON + timedelta(minutes=1))
    devices.block(db, blocked, actor="ann", now=LATER)
    assert identifiers(listing.page(db, Filters())) == ["blocked", "active"]
    devices.unblock(db, blocked, actor="ann", now=LATER)
    assert identifiers(listing.page(db, Filters())) == ["active", "blocked"]


# --- other orders ------------------------------------------------------------------------------


@pytest.fixture
def named(db: Database, register: Register) -> Sequence[Device]:
    """Devices with equal names and times, and names in several scripts."""
    names = (
        "zoe",
        "Zoë",
        "ZOE",
        "zoe",
        "касса 2",
        "Касса 10",
        "入口",
        "",
        "Ωδείο",
        "ÉTÉ",
        "",
        "été",
    )
    for number, name in enumerate(names):
        moment = NOON + timedelta(minutes=number % 3)
        device_id = register(f"Phone-{number % 5}-{number}", moment)
        devices.rename(db, device_id, name, actor="ann", now=NOON)
    devices.block(db, 4, actor="ann", now=LATER)
    return list(listing.iterate(db, Filters()))


def position(device: Device, sort: Sort) -> tuple[object, int]:
    """Return what a device is sorted by."""
    match sort.removeprefix("-"):
        case "name":
            return search.fold(device.display_name), device.id
        case "first_seen":
            return device.first_seen_at, device.id
        case _:
            return device.activity.last_activity_at, device.id


@pytest.mark.parametrize("status", get_args(Status))
@pytest.mark.parametrize("sort", get_args(Sort))
def test_every_order_pages_forwards_and_backwards(
    db: Database,
    named: Sequence[Device],
    monkeypatch: pytest.MonkeyPatch,
    sort: Sort,
    status: Status,
) -> None:
    monkeypatch.setattr(limits, "PAGE_SIZE", 3)
    reverse = sort in ("activity", "first_seen", "-name")
    expected = [
        device.identifier
        for device in sorted(named, key=lambda device: position(device, sort), reverse=reverse)
        if status in ("all", device.status)
    ]
    filters = Filters(status=status)
    page = listing.page(db, filters, sort=sort)
    paged, pages = identifiers(page), [page]
    while page.older:
        page = listing.page(db, filters, page.older, sort=sort)
        assert page.first == len(paged) + 1
        paged += identifiers(page)
        pages.append(page)
    assert paged == expected
    for before in reversed(pages[:-1]):
        page = listing.page(db, filters, page.newer, sort=sort)
        assert (identifiers(page), page.first) == (identifiers(before), before.first)
    assert [device.identifier for device in listing.iterate(db, filters, sort)] == expected


def test_cursor_by_name_continues_after_its_device_when_others_are_added(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAGE_SIZE", 2)
    for identifier in "bcd":
        register(identifier)
    first = listing.page(db, Filters(), sort="name")
    for identifier in ("a", "c2", "e"):
        register(identifier)
    second = listing.page(db, Filters(), first.older, sort="name")
    assert identifiers(second) == ["c2", "d"]
    assert identifiers(listing.page(db, Filters(), second.newer, sort="name")) == ["b", "c"]


@pytest.mark.parametrize("sort", ["name", "-name"])
def test_longest_names_that_grow_when_folded_can_be_sorted(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch, sort: Sort
) -> None:
    monkeypatch.setattr(limits, "PAGE_SIZE", 1)
    ids = [register(identifier) for identifier in ("1", "2")]
    for device_id in ids:
        devices.rename(db, device_id, "\ufdfa" * MAX_LENGTH, actor="ann", now=NOON)
    first = listing.page(db, Filters(), sort=sort)
    assert first.older is not None
    second = listing.page(db, Filters(), Cursor.parse(str(first.older), sort), sort=sort)
    assert identifiers(first) + identifiers(second) == sorted("12", reverse=sort == "-name")
