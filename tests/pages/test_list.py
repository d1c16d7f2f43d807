"""Settings > API Devices: the order, rows and count of the list."""

from datetime import timedelta

import pytest
from flask import Flask

from tests.conftest import NOON, UPLOADS, FakeClock, Register, as_device
from tests.pages.device_list import LIST, cell, device_names, minutes, rows
from tests.pages.visitor import Visitor

# --- rows --------------------------------------------------------------------------------------


def test_most_recently_active_device_comes_first(admin: Visitor, register: Register) -> None:
    register("second", at=NOON - minutes(20))
    register("first", at=NOON - minutes(10))
    register("third", at=NOON - minutes(30))
    assert device_names(admin.get(LIST)) == ["first", "second", "third"]


def test_devices_with_equal_activity_are_ordered_by_id(admin: Visitor, register: Register) -> None:
    for identifier in ("older", "newer"):
        register(identifier, at=NOON)
    assert device_names(admin.get(LIST)) == ["newer", "older"]


def test_blocked_device_is_ordered_by_the_time_of_its_block(
    admin: Visitor, register: Register, fake_clock: FakeClock
) -> None:
    device = register("blocked", at=NOON - minutes(30))
    register("active", at=NOON - minutes(20))
    fake_clock.set(NOON - minutes(10))
    admin.change(f"{LIST}/{device}", "/block")
    page = admin.get(LIST)
    assert device_names(page) == ["blocked", "active"]
    assert cell(rows(page)[0], "activity").one("time")["datetime"].startswith("2030-05-17T11:50:00")


def test_columns_have_headings(admin: Visitor, register: Register) -> None:
    register("phone-1")
    head = admin.get(LIST).root.one("table").all("tr")[0]
    assert [column.text for column in head.all("th", scope="col")] == [
        "",  # the checkbox
        "Name",
        "Status",
        "Application",
        "Manufacturer and model",
        "System",
        "First seen",
        "Last activity",
        "Actions",
    ]


def test_each_row_has_the_id_of_its_device(admin: Visitor, register: Register) -> None:
    ids = [register(identifier) for identifier in ("phone-1", "phone-2")]
    assert {row["id"] for row in rows(admin.get(LIST))} == {f"device-{number}" for number in ids}


def test_row_shows_the_reported_details(admin: Visitor, register: Register) -> None:
    register(
        "phone-1",
        at=NOON - minutes(3),
        application="Box Office",
        application_version="2.1",
        manufacturer="Apple",
        model="iPad 9",
    )
    [row] = rows(admin.get(LIST))
    assert cell(row, "application").text == "Box Office 2.1"
    assert cell(row, "model").text == "Apple iPad 9"
    assert cell(row, "activity").one("time")["datetime"] == "2030-05-17T11:57:00.000Z"
    assert cell(row, "activity").text.startswith("3 minutes ago")


def test_row_links_to_the_device(admin: Visitor, register: Register) -> None:
    device = register("phone-1")
    [row] = rows(admin.get(LIST))
    assert cell(row, "name").all("a")[0]["href"] == f"{LIST}/{device}"


def test_row_of_a_named_device_shows_name_and_identifier(
    admin: Visitor, register: Register
) -> None:
    device = register("phone-1")
    admin.change(f"{LIST}/{device}", "/name", name="Main Entrance")
    page = admin.get(LIST)
    assert device_names(page) == ["Main Entrance"]
    assert cell(rows(page)[0], "name").one(class_="identifier muted").text == "phone-1"


def test_row_of_a_blocked_device_says_blocked(admin: Visitor, register: Register) -> None:
    blocked = register("bad")
    register("good")
    admin.change(f"{LIST}/{blocked}", "/block")
    marks = {row["id"]: cell(row, "state-cell").text == "Blocked" for row in rows(admin.get(LIST))}
    assert [device for device, marked in marks.items() if marked] == [f"device-{blocked}"]


def test_rows_link_to_forms_for_the_possible_actions(admin: Visitor, register: Register) -> None:
    blocked, active = register("bad"), register("good")
    admin.change(f"{LIST}/{blocked}", "/block")
    page = admin.get(LIST)
    for action in (f"/{active}/block", f"/{blocked}/unblock", f"/{active}/name"):
        assert admin.open_form(page, action).has_form(action)


def test_markup_in_headers_is_shown_as_text(admin: Visitor, app: Flask, token: str) -> None:
    evil = "<img src=x onerror=alert(1)>\"'&amp;"
    details = dict.fromkeys(("application", "os", "manufacturer", "model"), evil)
    api = app.test_client()
    assert api.post(UPLOADS, json={}, headers=as_device(token, evil, **details)).status_code == 201
    page = admin.get(LIST)
    assert page.root.all("img") == []
    assert device_names(page) == [evil]
    device = admin.get(cell(rows(page)[0], "name").all("a")[0]["href"])
    assert device.root.all("img") == []
    assert device.text.count(evil) > 5


# --- count -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "query", "count"),
    [
        (1, "", "1 device"),
        (3, "", "3 devices"),
        (3, "?name=phone-2", "1 device found"),
        (3, "?status=active", "3 devices found"),
    ],
)
def test_list_shows_the_number_of_devices(
    admin: Visitor, register: Register, devices: int, query: str, count: str
) -> None:
    for number in range(devices):
        register(f"phone-{number}")
    assert admin.get(LIST + query).root.one(id="list-count").text == count


# --- fragments ---------------------------------------------------------------------------------


def test_htmx_gets_only_the_list(admin: Visitor, register: Register) -> None:
    register("phone-1")
    fragment = admin.get(f"{LIST}?name=phone", htmx=True)
    assert [child.get("id") or child["hx-target"] for child in fragment.root.children] == [
        "devices",
        "#list-tools",
        "#other-filters",
        "#apidevices-status",
        "#apidevices-nav",
    ]
    assert device_names(fragment) == ["phone-1"]


def test_htmx_gets_an_empty_result_as_the_same_element(admin: Visitor, register: Register) -> None:
    register("phone-1")
    section = admin.get(f"{LIST}?name=zebra", htmx=True).root.children[0]
    assert (section.tag, section["id"]) == ("section", "devices")


@pytest.mark.parametrize(
    ("query", "announced"),
    [
        ("name=phone", "2 devices found"),
        ("name=phone-1", "1 device found"),
        ("name=zebra", "No matching devices"),
        ("name=&status=all", "2 devices"),
    ],
)
def test_htmx_announces_how_many_devices_match(
    admin: Visitor, register: Register, query: str, announced: str
) -> None:
    register("phone-1")
    register("phone-2")
    fragment = admin.get(f"{LIST}?{query}", htmx=True)
    assert fragment.announced == announced
    assert admin.get(LIST).announced == ""


def test_search_replaces_the_url_and_other_filters_add_one_to_the_history(admin: Visitor) -> None:
    searched = admin.get(f"{LIST}?name=x&status=all&tag=", htmx=True, HX_Source="form#filters")
    assert searched.headers["HX-Replace-Url"] == f"{LIST}?name=x"
    assert "HX-Push-Url" not in searched.headers
    assert "HX-Replace-Url" not in admin.get(f"{LIST}?status=blocked", htmx=True).headers


def test_htmx_pushes_a_url_without_default_filters(admin: Visitor) -> None:
    def pushed(query: str) -> str:
        return admin.get(f"{LIST}?{query}", htmx=True).headers["HX-Push-Url"]

    assert pushed("name=&status=all") == LIST
    assert pushed("name=&status=blocked") == f"{LIST}?status=blocked"
    assert pushed("name=till&status=all") == f"{LIST}?name=till"


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "headers",
    [
        {"HX_History_Restore_Request": "true"},
        {"HX_Boosted": "true"},
        {"HX_Request_Type": "full"},
    ],
    ids=["history restore", "boosted", "select"],
)
@pytest.mark.parametrize("devices", [0, 1])
def test_htmx_gets_a_whole_page_on_request(
    admin: Visitor, register: Register, headers: dict[str, str], devices: int
) -> None:
    for number in range(devices):
        register(f"phone-{number}")
    assert admin.get(LIST, htmx=True, **headers).is_full_page


@pytest.mark.parametrize("htmx", [False, True])
def test_list_is_not_cached_and_varies_by_htmx_header(
    admin: Visitor, register: Register, htmx: bool
) -> None:
    register("phone-1")
    headers = admin.get(LIST, htmx=htmx).headers
    assert "HX-Request" in headers["Vary"]
    assert headers["Cache-Control"] == "no-store"


def test_row_shows_relative_and_exact_time(admin: Visitor, register: Register) -> None:
    register("phone-1", at=NOON - timedelta(days=3))
    shown = cell(rows(admin.get(LIST))[0], "activity").one("time")
    assert shown.text == "3 days ago (2030-05-14 12:00:00 UTC)"
    assert shown["title"] == "2030-05-14 12:00:00 UTC"
    assert shown["datetime"] == "2030-05-14T12:00:00.000Z"
