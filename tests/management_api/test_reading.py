"""List devices, get one, and read its history."""

import re
from datetime import timedelta
from typing import Any

import pytest

from apidevices import devices
from apidevices.database import Database
from apidevices.models import DeviceTag
from tests.conftest import DEVICES, NOON, Administrator, FakeClock, Register
from tests.management_api.conftest import HISTORY, ONE


def test_empty_list_has_no_next_page(administrator: Administrator) -> None:
    response = administrator.request("GET", DEVICES)
    assert response.json == {"devices": [], "next": None}
    assert "Link" not in response.headers


def test_list_and_single_device_have_the_same_representation(
    administrator: Administrator, register: Register
) -> None:
    register("phone-1", model="iPhone 14")
    listed = administrator.request("GET", DEVICES).get_json()["devices"]
    assert listed == [administrator.request("GET", ONE).json]


def follow(administrator: Administrator, path: str, key: str) -> list[list[dict[str, Any]]]:
    """Return all pages, by following their links."""
    pages = []
    url: str | None = path
    while url:
        response = administrator.request("GET", url)
        assert response.status_code == 200, response.text
        url = response.get_json()["next"]
        link = re.fullmatch(r'<(.+)>; rel="next"', response.headers.get("Link", ""))
        assert (link[1] if link else None) == url
        pages.append(response.get_json()[key])
    return pages


def test_list_pages_are_linked(administrator: Administrator, register: Register) -> None:
    for number in range(120):
        register(f"phone-{number:03}", NOON + timedelta(seconds=number))
    pages = follow(administrator, DEVICES, "devices")
    assert [len(page) for page in pages] == [50, 50, 20]
    listed = [device["identifier"] for page in pages for device in page]
    assert listed == [f"phone-{number:03}" for number in reversed(range(120))]


def test_next_page_keeps_the_filters(administrator: Administrator, register: Register) -> None:
    for number in range(60):
        register(f"phone-{number}")
        register(f"till-{number}")
    pages = follow(administrator, f"{DEVICES}?name=till-&status=active", "devices")
    assert [len(page) for page in pages] == [50, 10]
    assert all("till" in device["identifier"] for page in pages for device in page)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"Phone_1", "phone-2", "50%"}),
        ("?name=PHONE", {"Phone_1", "phone-2"}),
        ("?name=_", {"Phone_1"}),
        ("?name=%25", {"50%"}),
        ("?name=%20phone-2%20", {"phone-2"}),
        ("?name=%00", {"Phone_1", "phone-2", "50%"}),
        ("?status=all", {"Phone_1", "phone-2", "50%"}),
        ("?status=active", {"Phone_1", "50%"}),
        ("?status=blocked", {"phone-2"}),
        ("?name=phone&status=blocked", {"phone-2"}),
    ],
)
def test_list_filters_by_name_and_status(
    administrator: Administrator, register: Register, query: str, found: set[str]
) -> None:
    for identifier in ("Phone_1", "phone-2", "50%"):
        register(identifier)
    administrator.block("phone-2")
    assert {device["identifier"] for device in administrator.devices(query)} == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("application=BOX%20OFFICE", {"a", "b"}),
        ("application=box%20office&version_below=2.10", {"a"}),
        ("application_version=2.10", {"b"}),
        ("os=ios&os_version=17", {"a"}),
        ("manufacturer=apple&model=IPAD", {"a"}),
        ("tag=vip", {"a", "b"}),
        ("tag=VIP&tag=foyer", {"b"}),
        ("active_days=2", {"b", "c"}),
        ("inactive_days=2", {"a"}),
        ("no_upload_days=2", {"b", "c"}),
        ("uploaded=1", set()),
        ("unnamed=1", {"a", "c"}),
        ("unnamed=true&denied=0", {"a", "c"}),
        ("denied=1", set()),
        ("application=", {"a", "b", "c"}),
        ("application=%00", set()),
        ("tag=%00", set()),
    ],
)
def test_list_filters_by_details_tags_and_activity(
    administrator: Administrator,
    db: Database,
    register: Register,
    fake_clock: FakeClock,
    query: str,
    found: set[str],
) -> None:
    fake_clock.set(NOON)
    three_days_ago = NOON - timedelta(days=3)
    apple = {"os": "iOS", "os_version": "17", "manufacturer": "Apple", "model": "iPad"}
    register("a", three_days_ago, application="Box Office", application_version="2.9", **apple)
    second = register("b", application="box office", application_version="2.10")
    register("c")
    devices.rename(db, second, "Door", actor="ann", now=NOON)
    with db.write() as session:
        for device_id, tag in ((1, "VIP"), (2, "vip"), (2, "Foyer")):
            session.add(DeviceTag(device_id=device_id, key=tag.casefold(), tag=tag))
    assert {device["identifier"] for device in administrator.devices(f"?{query}")} == found


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("sort", ["name", "-name", "first_seen", "-first_seen"])
def test_list_pages_keep_their_order_and_filters(
    administrator: Administrator, db: Database, register: Register, sort: str
) -> None:
    ids = [register(f"phone-{number:02}", NOON + timedelta(hours=number)) for number in range(60)]
    with db.write() as session:
        session.add_all(
            DeviceTag(device_id=device_id, key=key, tag=key) for device_id in ids for key in "ab"
        )
    pages = follow(administrator, f"{DEVICES}?tag=a&tag=b&sort={sort}", "devices")
    listed = [device["identifier"] for page in pages for device in page]
    is_reverse = sort in ("-name", "first_seen")
    assert listed == sorted((f"phone-{number:02}" for number in range(60)), reverse=is_reverse)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "path",
    [
        f"{DEVICES}?sort=price",
        f"{DEVICES}?sort=name&cursor=older.activity.50.1.1",
        f"{DEVICES}?version_below=2.0",
        f"{DEVICES}?application=a&version_below=new",
        pytest.param(f"{DEVICES}?application=a&version_below={'9' * 5_000}", id="long version"),
        f"{DEVICES}?tag=",
        f"{DEVICES}?tag=a&tag=",
        f"{DEVICES}?{'&'.join(f'tag={number}' for number in range(21))}",
        f"{DEVICES}?inactive_days=0",
        f"{DEVICES}?inactive_days=36501",
        f"{DEVICES}?no_upload_days=soon",
        f"{DEVICES}?unnamed=2",
        f"{DEVICES}?denied=",
        f"{DEVICES}?status=asleep",
        f"{DEVICES}?status=",
        f"{DEVICES}?cursor=nonsense",
        f"{DEVICES}?cursor=older.activity.1.99999999999999999999.1",
        f"{DEVICES}?cursor=older.activity.1.1.99999999999999999999",
        f"{DEVICES}?page=2",
        f"{HISTORY}?cursor=nonsense",
        f"{HISTORY}?cursor=-1",
        f"{HISTORY}?cursor=9223372036854775808",
        f"{HISTORY}?before=1",
    ],
)
def test_invalid_query_parameter_gets_422(
    administrator: Administrator, register: Register, path: str
) -> None:
    register("phone-1")
    response = administrator.request("GET", path)
    assert (response.status_code, response.get_json(force=True)["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{DEVICES}/7"),
        ("GET", f"{DEVICES}/7/history"),
        ("PATCH", f"{DEVICES}/7"),
        ("POST", f"{DEVICES}/7/block"),
        ("POST", f"{DEVICES}/7/unblock"),
        ("GET", f"{DEVICES}/9223372036854775807"),
        ("GET", f"{DEVICES}/9223372036854775808"),
        ("GET", f"{DEVICES}/phone-1"),
        ("GET", f"{DEVICES}/-1"),
    ],
)
def test_unknown_device_gets_404(administrator: Administrator, method: str, path: str) -> None:
    body = {"name": "x"} if method == "PATCH" else None
    response = administrator.request(method, path, json=body)
    assert (response.status_code, response.get_json(force=True)["code"]) == (404, "not_found")


def test_history_is_paginated_newest_first(
    administrator: Administrator, register: Register
) -> None:
    for version in range(120):
        register("phone-1", application_version=str(version))
    pages = follow(administrator, HISTORY, "history")
    assert [len(page) for page in pages] == [50, 50, 20]
    reported = [entry["changes"]["application_version"]["new"] for page in pages for entry in page]
    assert reported == [str(version) for version in reversed(range(120))]
