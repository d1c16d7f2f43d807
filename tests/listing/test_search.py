"""The search by name or identifier, and the strategies that find its pages."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from apidevices import devices, listing, tokens
from apidevices.database import Database
from apidevices.listing import Count, Cursor, Filters, Status, limits, search, strategies
from apidevices.listing.query import ListQuery, Wanted
from apidevices.models import Device, DeviceActivity, DeviceToken
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


def test_activity_indexes_contain_the_latest_search_key(db: Database, register: Register) -> None:
    device_id = register("Phone-1")
    with db.read() as session:
        assert session.scalar(select(DeviceActivity.search_key)) == "phone-1"
        devices.rename(db, device_id, "Kasse", actor="ann", now=NOON)
        assert session.scalar(select(DeviceActivity.search_key)) == "kasse\nphone-1"


@pytest.mark.parametrize("text", ["%", "_", "\\", "\\%", "100%_"])
def test_search_in_order_takes_wildcards_literally(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(limits, "COUNT_LIMIT", 1)  # more devices match
    for identifier in ("another", f"1{text}", f"2{text}"):
        register(identifier)
    assert found(db, text) == {f"1{text}", f"2{text}"}


ALPHABET = "ab-é米"
"""Few characters, so that random texts often match."""


OTHER_TOKEN, UNUSED_TOKEN = 2, 3


@pytest.fixture
def fleet(db: Database, register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty devices with overlapping texts, and limits so low that every strategy is used."""
    tokens.issue(db, "other", actor="ann", now=NOON)
    monkeypatch.setattr(limits, "PAGE_SIZE", 3)
    monkeypatch.setattr(search, "SHORT_KEY", 12)
    monkeypatch.setattr(limits, "FIRST_SCAN", 10)
    monkeypatch.setattr(limits, "FIRST_SAMPLE", 5)
    monkeypatch.setattr(limits, "COMMON_MATCHES", 2)
    monkeypatch.setattr(limits, "COUNT_LIMIT", 12)
    monkeypatch.setattr(limits, "SORT_LIMIT", 16)
    for number in range(60):
        digits = [(number * 7 + 3) // 5**place % 5 for place in range(4)]
        identifier = "".join(ALPHABET[digit] for digit in digits)
        device_id = register(f"{identifier}{number:02}", NOON + timedelta(seconds=number // 4))
        if number % 3 == 0:  # every other of these names makes the search key too long
            name = identifier[::-1] * (1 + number % 2)
            devices.rename(db, device_id, name, actor="ann", now=NOON)
        if number % 5 == 0:
            moment = NOON + timedelta(seconds=30 - number // 2)
            devices.block(db, device_id, actor="ann", now=moment)
        if number % 2 == 0:
            use = DeviceToken(
                device_id=device_id, token_id=OTHER_TOKEN, first_used_at=NOON, last_used_at=NOON
            )
            with db.write() as session:
                session.add(use)


@settings(
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # examples only read
)
@given(
    st.text(ALPHABET + "01", max_size=4),
    st.sampled_from(["all", "active", "blocked"]),
    st.sampled_from([None, None, OTHER_TOKEN, UNUSED_TOKEN]),
    st.sampled_from([None, None, *(NOON + timedelta(seconds=5 * step) for step in range(-1, 4))]),
)
def test_pages_and_counts_match_a_filter_in_python(
    fleet: None,
    db: Database,
    text: str,
    status: Status,
    token: int | None,
    registered_after: datetime | None,
) -> None:
    filters = Filters(name=text, status=status, token=token, registered_after=registered_after)
    expected = [
        device.identifier
        for device in listing.iterate(db, Filters())
        if search.fold(text) in search.search_key(device.identifier, device.name)
        and status in ("all", device.status)
        and (token != UNUSED_TOKEN and (token is None or device.id % 2 == 1))
        and (registered_after is None or device.first_seen_at > registered_after)
    ]
    assert [device.identifier for device in listing.iterate(db, filters)] == expected
    assert listing.count(db, filters) == len(expected)

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


def test_page_and_count_are_read_in_one_snapshot(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "COUNT_LIMIT", 3)  # more devices match
    ids = [register(f"device-{number}") for number in range(6)]
    devices.block(db, ids[0], actor="ann", now=LATER)
    scan = strategies.first_scan

    def scan_and_block(query: ListQuery) -> Sequence[Device]:
        scanned = scan(query)
        devices.block(db, ids[1], actor="ann", now=LATER)
        return scanned

    monkeypatch.setattr(strategies, "first_scan", scan_and_block)
    page = listing.page(db, Filters(name="device", status="blocked"))
    assert identifiers(page) == ["device-0"]
    assert page.count == Count(1, exact=True)


@pytest.mark.database("sqlite")
def test_search_in_order_reads_no_table(db: Database) -> None:
    cursor = Cursor("older", "activity", NOON, 1)
    with db.read() as session:
        wanted = Wanted(Filters(name="phone"), "activity", NOON)
        query = ListQuery(session, wanted, cursor, limit=51)
        sql = query.positions().compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        plan = [row.detail for row in session.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]
    reads = [line for line in plan if "apidevices_device_activity " in line]
    assert len(reads) == 4  # two ranges per status: at the cursor's time, and before
    assert all("USING COVERING INDEX" in line for line in reads)
