"""The filters of the list, and the count of the devices that match them."""

from datetime import timedelta
from typing import get_args

import pytest

from apidevices import devices, listing
from apidevices.database import Database
from apidevices.identity import DETAILS
from apidevices.listing import Count, Filters, Sort, Status, limits
from apidevices.text import MAX_LENGTH
from tests.conftest import NOON, Register
from tests.listing.conftest import LATER, found

# --- filters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        pytest.param("box", {"phone-1"}, id="part of the name"),
        pytest.param("PHONE", {"phone-1", "Phone_2"}, id="any case"),
        pytest.param("-1", {"phone-1"}, id="part of the identifier of a named device"),
        pytest.param("_", {"Phone_2"}, id="underscore is literal"),
        pytest.param("%", {"100%"}, id="percent is literal"),
        pytest.param("\\", set(), id="backslash is literal"),
        pytest.param("КАССА", {"kiosk"}, id="any case in any script"),
        pytest.param("ｋａｓｓｅ", {"till"}, id="compatibility forms"),
        pytest.param("strasse", {"till"}, id="sharp s"),
        pytest.param("nothing like it", set(), id="no match"),
        pytest.param("", {"phone-1", "Phone_2", "100%", "kiosk", "till"}, id="no filter"),
    ],
)
def test_name_filter_keeps_and_counts_matching_devices(
    db: Database, register: Register, name: str, matches: set[str]
) -> None:
    names = {"phone-1": "Box Office iPad", "kiosk": "Касса 3", "till": "Kasse Hauptstraße"}
    for identifier in ("phone-1", "Phone_2", "100%", "kiosk", "till"):
        device_id = register(identifier)
        if identifier in names:
            devices.rename(db, device_id, names[identifier], actor="ann", now=NOON)
    assert found(db, name) == matches
    assert listing.page(db, Filters(name=name)).count == Count(len(matches), exact=True)


@pytest.mark.parametrize(
    ("status", "matches"),
    [("all", {"phone-1", "phone-2"}), ("active", {"phone-1"}), ("blocked", {"phone-2"})],
)
def test_status_filter_keeps_and_counts_matching_devices(
    db: Database, register: Register, status: Status, matches: set[str]
) -> None:
    register("phone-1")
    devices.block(db, register("phone-2"), actor="ann", now=LATER)
    assert found(db, status=status) == matches
    assert listing.page(db, Filters(status=status)).count == Count(len(matches), exact=True)


def test_name_and_status_filters_combine(db: Database, register: Register) -> None:
    register("phone-1")
    devices.block(db, register("phone-2"), actor="ann", now=LATER)
    devices.block(db, register("till"), actor="ann", now=LATER)
    assert found(db, "phone", "blocked") == {"phone-2"}


# --- counts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status", "count"),
    [
        ("", "all", Count(3, exact=False)),
        ("", "active", Count(3, exact=False)),
        ("", "blocked", Count(1, exact=True)),
        ("device", "all", Count(3, exact=False)),
        ("device-5", "all", Count(1, exact=True)),
        # Few devices are blocked, so these are counted exactly and subtracted from the limit.
        ("device", "blocked", Count(1, exact=True)),
        ("device", "active", Count(2, exact=False)),
    ],
)
def test_count_stops_at_its_limit(
    db: Database,
    register: Register,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    status: Status,
    count: Count,
) -> None:
    monkeypatch.setattr(limits, "COUNT_LIMIT", 3)
    monkeypatch.setattr(limits, "PAGE_SIZE", 2)  # the first page must not show all devices
    for number in range(6):
        register(f"device-{number}")
    devices.block(db, register("device-6"), actor="ann", now=LATER)
    assert listing.page(db, Filters(name=name, status=status)).count == count


def test_rare_text_of_the_latest_devices_is_counted_exactly(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "COUNT_LIMIT", 3)
    for number in range(6):
        register(f"tablet-{number}")
    for number in range(2):
        register(f"kiosk-{number}", LATER)
    monkeypatch.setattr(limits, "COMMON_MATCHES", 2)  # as many as the first scan finds
    assert listing.page(db, Filters(name="kiosk")).count == Count(2, exact=True)


@pytest.mark.parametrize(
    ("count", "text"), [(Count(1_234, True), "1,234"), (Count(50, False), "50+")]
)
def test_inexact_count_ends_with_a_plus_sign(count: Count, text: str) -> None:
    assert str(count) == text


# --- details -----------------------------------------------------------------------------------


def test_changed_details_are_found_by_their_latest_value_only(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CHOICES_PATIENCE", 30)
    for version in ("2.9", "2.10"):
        register("phone-1", application="Box Office", application_version=version)
    assert listing.count(db, Filters(application_version="2.10")) == 1
    assert listing.count(db, Filters(application_version="2.9")) == 0
    assert listing.count(db, Filters(application="box office", version_below="2.10")) == 0
    assert [each.value for each in listing.choices(db).application_version["Box Office"]] == [
        "2.10"
    ]


def test_devices_with_many_different_details_are_found(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_COMBINATIONS", 3)
    for number in range(6):
        register(f"phone-{number}", os="iOS", model=f"Model {number}")
    register("phone-6", os="Android", model="Model 6")
    for sort in get_args(Sort):
        page = listing.page(db, Filters(os="ios", status="active"), sort=sort)
        assert {device.os for device in page.devices} == {"iOS"}
        assert page.count == Count(6, exact=True)


def test_rare_blocked_devices_among_many_are_counted_exactly_in_every_order(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "COUNT_LIMIT", 2)
    monkeypatch.setattr(limits, "PAGE_SIZE", 1)
    for number in range(4):  # the first three are blocked, and the last three inactive
        at = NOON - timedelta(days=8) if number else NOON
        device_id = register(f"phone-{number}", at)
        if number < 3:
            devices.block(db, device_id, actor="ann", now=LATER)
    filters = Filters(status="blocked", inactive_days=7)
    counts = {listing.page(db, filters, sort=sort, now=LATER).count for sort in get_args(Sort)}
    assert counts == {Count(2, exact=True)}


def test_longest_details_are_found(db: Database, register: Register) -> None:
    longest = {field: "\U0001f600" * MAX_LENGTH for field in DETAILS}
    register("phone-1", NOON, **longest)
    register("phone-2", NOON, **{**longest, "model": "iPad"})
    assert listing.count(db, Filters.model_validate(longest)) == 1


def test_deleted_device_is_not_found_or_offered(db: Database, register: Register) -> None:
    device_id = register("phone-1", model="iPad")
    devices.delete(db, device_id, actor="ann", now=NOON)
    assert listing.count(db, Filters(model="iPad")) == 0
    assert listing.page(db, Filters(), sort="name").devices == []
    assert listing.choices(db).model == []
