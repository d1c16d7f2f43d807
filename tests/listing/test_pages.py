"""The order of the list, its pages, and the cursors between them."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apidevices import devices, listing
from apidevices.database import Database
from apidevices.errors import InvalidInput
from apidevices.listing import PAGE_SIZE, Cursor, Filters
from tests.conftest import NOON, Register
from tests.listing.conftest import LATER, identifiers

# --- cursors -----------------------------------------------------------------------------------


@given(
    st.sampled_from(["older", "newer"]),
    st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - see timezones
    st.integers(0, 2**63 - 1),
)
def test_cursor_survives_a_round_trip_through_text(
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
def test_malformed_cursor_is_rejected(text: str) -> None:
    with pytest.raises(InvalidInput):
        Cursor.parse(text)


@given(st.text() | st.from_regex(r"(older|newer)-.{0,30}-.{0,30}"))
def test_parsing_arbitrary_text_returns_a_cursor_or_raises_invalid_input(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except InvalidInput:
        return
    assert Cursor.parse(str(cursor)) == cursor


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

    back = listing.page(db, Filters(), third.newer)
    assert identifiers(back) == identifiers(second)
    assert identifiers(listing.page(db, Filters(), back.newer)) == identifiers(first)


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
