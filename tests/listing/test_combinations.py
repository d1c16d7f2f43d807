"""All filters together, compared with the same filters in Python."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from apidevices import devices, listing, tokens
from apidevices.database import Database
from apidevices.listing import Filters, Sort, Status, limits
from apidevices.listing.search import fold
from apidevices.models import Device, DeviceActivity, DeviceTag, DeviceToken
from tests.conftest import NOON, Register
from tests.listing.conftest import identifiers

OTHER_TOKEN, UNUSED_TOKEN = 2, 3
APPLICATIONS = ("Box Office", "BOX OFFICE", "Касса", "КАССА", None)
VERSIONS = ("2.9", "2.10", "2.10-beta1", "v2.11 (7)", "unknown", None, "3")
SYSTEMS = ("Android", "iOS", "android", None)
MODELS = ("iPad", "Pixel 8", "ipad")
ARCHIVED_OF_SEVEN = 2
TAGS = ("Foyer", "foyer", "Straße", "VIP")


@pytest.fixture
def fleet(db: Database, register: Register, monkeypatch: pytest.MonkeyPatch) -> Sequence[Device]:
    """Devices with overlapping properties, and limits so low that every strategy is used."""
    monkeypatch.setattr(limits, "PAGE_SIZE", 4)
    monkeypatch.setattr(limits, "FIRST_SCAN", 10)
    monkeypatch.setattr(limits, "FIRST_SAMPLE", 5)
    monkeypatch.setattr(limits, "COMMON_MATCHES", 2)
    monkeypatch.setattr(limits, "COUNT_LIMIT", 8)
    monkeypatch.setattr(limits, "SORT_LIMIT", 16)
    tokens.issue(db, "other", actor="ann", now=NOON)
    for number in range(60):
        details = {
            "application": APPLICATIONS[number % 5],
            "application_version": VERSIONS[number % 7],
            "os": SYSTEMS[number % 4],
            "os_version": str(number % 3),
            "manufacturer": "Apple" if number % 2 else "Google",
            "model": MODELS[number // 20],
        }
        at = NOON - timedelta(days=number % 9, hours=number)
        known = {field: value for field, value in details.items() if value is not None}
        device_id = register(f"Phone-{number:02}", at, **known)
        if number % 3 == 0:
            devices.rename(db, device_id, f"Door {number // 9}", actor="ann", now=NOON)
        if number % 4 == 0:
            moment = NOON - timedelta(hours=7 * (number % 11))
            devices.block(db, device_id, actor="ann", now=moment)
        if number % 7 < ARCHIVED_OF_SEVEN:
            devices.archive(db, device_id, actor="ann", now=NOON)
    with db.write() as session:
        for device_id in range(1, 61):
            if device_id % 2:
                use = {"first_used_at": NOON, "last_used_at": NOON}
                session.add(DeviceToken(device_id=device_id, token_id=OTHER_TOKEN, **use))
            for tag in {fold(TAGS[device_id % 4]): TAGS[device_id % 4], "all": "All"}.items():
                session.add(DeviceTag(device_id=device_id, key=tag[0], tag=tag[1]))
            times = {
                "last_upload_at": NOON - timedelta(days=device_id % 6) if device_id % 5 else None,
                "last_denied_at": NOON - timedelta(days=device_id % 8) if device_id % 3 else None,
            }
            session.execute(
                update(DeviceActivity).where(DeviceActivity.device_id == device_id).values(times)
            )
    archived = listing.iterate(db, Filters(archived=True))
    return [*listing.iterate(db, Filters()), *archived]


def is_kept(device: Device, filters: Filters) -> bool:
    """Return whether filters keep a device of the fleet."""
    activity = device.activity
    active_days = (NOON - activity.last_active_at) / timedelta(days=1)
    upload = activity.last_upload_at
    tried = activity.last_denied_at
    tags = {fold(tag) for tag in device.tags}
    versions_below = {
        "": VERSIONS,
        "2.10": ("2.9", "2.10-beta1"),
        "2.11": ("2.9", "2.10", "2.10-beta1"),
        "2.11.8": ("2.9", "2.10", "2.10-beta1", "v2.11 (7)"),
        "1": (),
    }[filters.version_below]
    return all(
        (
            fold(filters.name) in fold(f"{device.name or ''}\n{device.identifier}"),
            filters.status in ("all", device.status),
            *(
                not wanted or fold(getattr(device, field) or "") == fold(wanted)
                for field in ("application", "os", "manufacturer", "model")
                for wanted in [getattr(filters, field)]
            ),
            filters.application_version in ("", device.application_version),
            filters.os_version in ("", device.os_version),
            not filters.version_below or device.application_version in versions_below,
            tags.issuperset(map(fold, filters.tag)),
            filters.token is None or (filters.token == OTHER_TOKEN and device.id % 2 == 1),
            filters.registered_after is None or device.first_seen_at > filters.registered_after,
            filters.active_days is None or active_days <= filters.active_days,
            filters.inactive_days is None or active_days > filters.inactive_days,
            filters.no_upload_days is None
            or (
                active_days <= filters.no_upload_days
                and (upload is None or upload < NOON - timedelta(days=filters.no_upload_days))
            ),
            not filters.uploaded or upload is not None,
            filters.archived == (activity.archived_at is not None),
            not filters.unnamed or device.name is None,
            not filters.denied
            or (device.blocked_at is not None and tried is not None and tried >= device.blocked_at),
        )
    )


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["door", "PHONE-1", "-", "0"]),
    "status": st.sampled_from(get_args(Status)),
    "application": st.sampled_from(["box office", "касса", "Box Off"]),
    "application_version": st.sampled_from(["2.9", "2.10", "2.1"]),
    "version_below": st.sampled_from(["2.10", "2.11", "2.11.8", "1"]),
    "os": st.sampled_from(["ANDROID", "iOS"]),
    "os_version": st.sampled_from(["0", "1"]),
    "manufacturer": st.sampled_from(["apple", "Nokia"]),
    "model": st.sampled_from(["IPAD", "pixel 8"]),
    "tag": st.sampled_from([("foyer",), ("STRASSE", "all"), ("vip", "foyer"), ("ALL",)]),
    "token": st.sampled_from([OTHER_TOKEN, UNUSED_TOKEN]),
    "registered_after": st.sampled_from([NOON - timedelta(days=days) for days in (0, 2, 4, 9)]),
    "active_days": st.integers(1, 10),
    "inactive_days": st.integers(1, 10),
    "no_upload_days": st.integers(1, 10),
    "uploaded": st.just(True),
    "unnamed": st.just(True),
    "denied": st.just(True),
    "archived": st.just(True),
}


@st.composite
def some_filters(draw: st.DrawFn) -> Filters:
    names = draw(st.lists(st.sampled_from(list(VALUES)), max_size=4, unique=True))
    if "version_below" in names and "application" not in names:
        names.append("application")
    return Filters(**{name: draw(VALUES[name]) for name in names})


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # examples only read
)
@given(some_filters(), st.sampled_from(get_args(Sort)))
def test_filters_keep_and_count_what_the_same_filters_in_python_keep(
    db: Database, fleet: Sequence[Device], filters: Filters, sort: Sort
) -> None:
    kept = [device for device in fleet if is_kept(device, filters)]
    expected = {device.identifier for device in kept}
    found = [device.identifier for device in listing.iterate(db, filters, sort, now=NOON)]
    assert (len(found), set(found)) == (len(expected), expected)
    assert listing.count(db, filters, now=NOON) == len(expected)

    page = listing.page(db, filters, sort=sort, now=NOON)
    paged, count = identifiers(page), page.count
    while page.older:
        previous, page = page, listing.page(db, filters, page.older, sort=sort, now=NOON)
        assert page.first == len(paged) + 1
        paged += identifiers(page)
        back = listing.page(db, filters, page.newer, sort=sort, now=NOON)
        assert (identifiers(back), back.first) == (identifiers(previous), previous.first)
    assert paged == found

    counts = listing.status_counts(db, filters, now=NOON)
    totals = {status: _count(fleet, filters, status) for status in get_args(Status)}
    for counted, total in [(count, len(found)), *((counts[key], totals[key]) for key in totals)]:
        assert counted.number == total if counted.exact else counted.number <= total


def _count(fleet: Sequence[Device], filters: Filters, status: Status) -> int:
    of_status = filters.model_copy(update={"status": status})
    return sum(is_kept(device, of_status) for device in fleet)
