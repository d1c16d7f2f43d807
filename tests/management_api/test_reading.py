"""List devices, get one, and read its history."""

import re
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import DEVICES, NOON, Administrator, Register
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


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "path",
    [
        f"{DEVICES}?status=asleep",
        f"{DEVICES}?status=",
        f"{DEVICES}?cursor=nonsense",
        f"{DEVICES}?cursor=older-1-99999999999999999999",
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
