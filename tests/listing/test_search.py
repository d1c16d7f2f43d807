"""The search by name or identifier, and the strategies that find its pages."""

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apidevices import devices, listing
from apidevices.activity import ActivityBuffer
from apidevices.database import Database
from apidevices.listing import Filters, Status, limits, search, strategies
from tests.conftest import NOON, Register
from tests.listing.conftest import LATER, found, identifiers


def test_renamed_device_is_found_by_its_latest_name_only(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    for name in ("Kasse", "Büro"):
        devices.rename(db, device_id, name, actor="ann", now=NOON)
    assert found(db, "büro") == {"phone-1"}
    assert found(db, "kas") == found(db, "k") == set()


def test_blocking_and_unblocking_keep_a_device_searchable(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    devices.block(db, device_id, actor="ann", now=LATER)
    assert found(db, "phone") == found(db, "ph", "blocked") == {"phone-1"}
    devices.unblock(db, device_id, actor="ann", now=LATER)
    assert found(db, "phone") == found(db, "ph", "active") == {"phone-1"}


@pytest.mark.parametrize("text", ["e-1", "-1", "1", "e\u0301", "红米", "米", '"', "'", "--", "a b"])
def test_text_is_found_at_either_end_of_an_identifier(
    db: Database, register: Register, text: str
) -> None:
    register("another")
    register(text)
    register(f"x{text}")
    register(f"{text}x")
    assert found(db, text) == {text, f"x{text}", f"{text}x"}


ALPHABET = "ab-é米"
"""Few characters, so that random texts often match."""


@pytest.fixture
def fleet(db: Database, register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty devices with overlapping texts, and limits so low that every strategy is used."""
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
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # examples only read
)
@given(
    st.text(ALPHABET + "01", min_size=1, max_size=4), st.sampled_from(["all", "active", "blocked"])
)
def test_search_pages_and_counts_match_a_filter_in_python(
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
    paged = identifiers(page)
    if page.count.exact:
        assert page.count.number == len(expected)
    else:
        assert page.count.number <= len(expected)
    while page.older:
        previous, page = page, listing.page(db, filters, page.older)
        paged += identifiers(page)
        assert page.newer is not None
        assert identifiers(listing.page(db, filters, page.newer)) == identifiers(previous)
    assert paged == expected


def test_search_is_consistent_while_devices_move_in_the_list(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAGE_SIZE", 5)
    monkeypatch.setattr(limits, "FIRST_SCAN", 5)
    monkeypatch.setattr(limits, "COMMON_MATCHES", 1)
    monkeypatch.setattr(limits, "COUNT_LIMIT", 4)
    for number in range(60):
        kind = "apple" if number % 4 == 0 else "pear"
        register(f"{kind}-{number:02}", NOON - timedelta(minutes=number))
    minutes = count(1)
    buffer = ActivityBuffer(db, interval=3600, limit=100)
    scan = strategies.scan

    def scan_and_move(*arguments: Any) -> Any:
        scanned = scan(*arguments)
        for device_id in (41, 45, 49, 53):
            now = NOON + timedelta(minutes=next(minutes))
            buffer.record_request(device_id, None, now, upload=False)
        buffer.flush()
        return scanned

    monkeypatch.setattr(strategies, "scan", scan_and_move)
    page = listing.page(db, Filters("apple"))
    buffer.close()
    assert identifiers(page) == [f"apple-{number:02}" for number in (0, 4, 8, 12, 16)]
