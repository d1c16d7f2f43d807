"""Settings > API Devices: which devices are listed, how, and what narrows the list."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from flask import Flask

from tests.conftest import NOON, UPLOADS, Administrator, Clock, MakeApp, Register, as_device
from tests.pages.conftest import COOKIE, SECRET_KEY, signed_in_visitor
from tests.pages.markup import Node
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def rows(page: Page) -> list[Node]:
    return page.root.one(id="devices").all("tr")[1:]


def listed(page: Page) -> list[str]:
    """Return what each row calls its device."""
    return [row.one("td", class_="name").all("a")[0].text for row in rows(page)]


def narrowed(admin: Visitor, **filters: str) -> set[str]:
    return set(listed(admin.get(f"{LIST}?{urlencode(filters)}")))


def cell(row: Node, name: str) -> Node:
    return row.one("td", class_=name)


# --- rows --------------------------------------------------------------------------------------


def test_the_most_recently_active_device_comes_first(admin: Visitor, register: Register) -> None:
    register("second", at=NOON - minutes(20))
    register("first", at=NOON - minutes(10))
    register("third", at=NOON - minutes(30))
    assert listed(admin.get(LIST)) == ["first", "second", "third"]


def test_a_tie_is_broken_by_the_id(admin: Visitor, register: Register) -> None:
    for identifier in ("older", "newer"):
        register(identifier, at=NOON)
    assert listed(admin.get(LIST)) == ["newer", "older"]


def test_a_blocked_device_stands_where_it_was_blocked(
    admin: Visitor, register: Register, the_clock: Clock
) -> None:
    device = register("blocked", at=NOON - minutes(30))
    register("active", at=NOON - minutes(20))
    the_clock.set(NOON - minutes(10))
    admin.change(f"{LIST}/{device}", "/block")
    page = admin.get(LIST)
    assert listed(page) == ["blocked", "active"]
    assert cell(rows(page)[0], "activity").one("time")["datetime"].startswith("2030-05-17T11:50:00")


def test_the_columns_are_named(admin: Visitor, register: Register) -> None:
    register("phone-1")
    head = admin.get(LIST).root.one("table").all("tr")[0]
    assert [column.text for column in head.all("th", scope="col")] == [
        "Name",
        "Application",
        "Manufacturer and model",
        "Last activity",
        "Action",
    ]


def test_each_device_is_a_row_with_its_id(admin: Visitor, register: Register) -> None:
    ids = [register(identifier) for identifier in ("phone-1", "phone-2")]
    assert {row["id"] for row in rows(admin.get(LIST))} == {f"device-{number}" for number in ids}


def test_a_row_says_what_the_device_said_of_itself(admin: Visitor, register: Register) -> None:
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
    assert cell(row, "hardware").text == "Apple iPad 9"
    assert cell(row, "activity").one("time")["datetime"] == "2030-05-17T11:57:00.000000Z"
    assert cell(row, "activity").text.startswith("3 minutes ago")


def test_a_row_leads_to_the_details(admin: Visitor, register: Register) -> None:
    device = register("phone-1")
    [row] = rows(admin.get(LIST))
    assert cell(row, "name").one("a")["href"] == f"{LIST}/{device}"


def test_a_named_device_goes_by_its_name_and_keeps_its_identifier_in_view(
    admin: Visitor, register: Register
) -> None:
    device = register("phone-1")
    admin.change(f"{LIST}/{device}", "/name", name="Main Entrance")
    page = admin.get(LIST)
    assert listed(page) == ["Main Entrance"]
    assert cell(rows(page)[0], "name").one(class_="identifier muted").text == "phone-1"


def test_a_blocked_device_is_marked_in_words(admin: Visitor, register: Register) -> None:
    blocked = register("bad")
    register("good")
    admin.change(f"{LIST}/{blocked}", "/block")
    marks = {row["id"]: "Blocked" in cell(row, "name").text for row in rows(admin.get(LIST))}
    assert [device for device, marked in marks.items() if marked] == [f"device-{blocked}"]


def test_a_row_offers_what_can_be_done(admin: Visitor, register: Register) -> None:
    blocked, active = register("bad"), register("good")
    admin.change(f"{LIST}/{blocked}", "/block")
    page = admin.get(LIST)
    assert page.form(f"/{active}/block")
    assert page.form(f"/{blocked}/unblock")
    assert page.form(f"/{active}/name")


def test_markup_in_headers_is_shown_as_text(admin: Visitor, app: Flask, token: str) -> None:
    evil = "<img src=x onerror=alert(1)>\"'&amp;"
    said = dict.fromkeys(("application", "os", "manufacturer", "model"), evil)
    api = app.test_client()
    assert api.post(UPLOADS, json={}, headers=as_device(token, evil, **said)).status_code == 201
    page = admin.get(LIST)
    assert page.root.all("img") == []
    assert listed(page) == [evil]
    details = admin.get(cell(rows(page)[0], "name").one("a")["href"])
    assert details.root.all("img") == []
    assert details.text.count(evil) > 5


# --- how many ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "query", "count"),
    [
        (1, "", "1 device"),
        (3, "", "3 devices"),
        (3, "?name=phone-2", "1 device found"),
        (3, "?status=active", "3 devices found"),
    ],
)
def test_devices_are_counted(
    admin: Visitor, register: Register, devices: int, query: str, count: str
) -> None:
    for number in range(devices):
        register(f"phone-{number}")
    assert admin.get(LIST + query).root.one("p", class_="count muted").text == count


# --- filters -----------------------------------------------------------------------------------


@pytest.fixture
def four_devices(admin: Visitor, register: Register) -> None:
    """Four devices; the second has a name, the last is blocked."""
    register("Tablet 100%")
    named = register("tab_let-2")
    register("ТЕЛЕФОН Straße")
    blocked = register("tablet-4")
    admin.change(f"{LIST}/{named}", "/name", name="Main Entrance")
    admin.change(f"{LIST}/{blocked}", "/block")


@pytest.mark.usefixtures("four_devices")
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tablet", {"Tablet 100%", "tablet-4"}),
        ("  TABLET  ", {"Tablet 100%", "tablet-4"}),
        ("entrance", {"Main Entrance"}),
        ("tab_let", {"Main Entrance"}),
        ("%", {"Tablet 100%"}),
        ("_", {"Main Entrance"}),
        ("телефон", {"ТЕЛЕФОН Straße"}),
        ("STRASSE", {"ТЕЛЕФОН Straße"}),
        ("nothing like it", set()),
    ],
)
def test_name_narrows_to_a_part_of_name_or_identifier(
    admin: Visitor, text: str, found: set[str]
) -> None:
    assert narrowed(admin, name=text) == found


@pytest.mark.usefixtures("four_devices")
@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("all", {"Tablet 100%", "Main Entrance", "ТЕЛЕФОН Straße", "tablet-4"}),
        ("active", {"Tablet 100%", "Main Entrance", "ТЕЛЕФОН Straße"}),
        ("blocked", {"tablet-4"}),
        ("unheard of", {"Tablet 100%", "Main Entrance", "ТЕЛЕФОН Straße", "tablet-4"}),
    ],
)
def test_status_narrows_to_blocked_or_not(admin: Visitor, status: str, found: set[str]) -> None:
    assert narrowed(admin, status=status) == found


@pytest.mark.usefixtures("four_devices")
def test_both_filters_hold_together(admin: Visitor) -> None:
    assert narrowed(admin, name="tablet", status="active") == {"Tablet 100%"}


@pytest.mark.usefixtures("four_devices")
@pytest.mark.parametrize(
    ("query", "chosen"), [("", "all"), ("?status=blocked", "blocked"), ("?status=x", "all")]
)
def test_the_form_shows_the_filters_in_force(admin: Visitor, query: str, chosen: str) -> None:
    form = admin.get(LIST + query).root.one("form", id="filters")
    [checked] = [
        radio for radio in form.all("input", type="radio") if "checked" in radio.attributes
    ]
    assert checked["value"] == chosen


@pytest.mark.usefixtures("four_devices")
def test_what_was_searched_stays_in_the_field(admin: Visitor) -> None:
    page = admin.get(f"{LIST}?name=%22%3E%3Cb%3Etablet")
    assert page.root.one("input", name="name", type="search")["value"] == '"><b>tablet'
    assert page.root.all("b") == []


@pytest.mark.usefixtures("four_devices")
def test_filters_carry_no_token_into_the_address(admin: Visitor) -> None:
    form = admin.get(LIST).root.one("form", id="filters", method="get")
    assert {field["name"] for field in form.all("input")} == {"name", "status"}


@pytest.mark.usefixtures("four_devices")
def test_no_match_says_what_was_searched_and_how_to_see_all(admin: Visitor) -> None:
    empty = admin.get(f"{LIST}?name=zebra&status=active").root.one(id="devices")
    assert empty.all("table") == []
    assert "No device matches" in empty.text
    assert "“zebra” among the devices that are not blocked" in empty.text
    assert empty.one("a")["href"] == LIST


def test_no_blocked_device_is_no_match(admin: Visitor, register: Register) -> None:
    register("phone-1")
    page = admin.get(f"{LIST}?status=blocked")
    assert "No device is blocked." in page.text
    assert page.root.one("form", id="filters")


def test_a_list_that_is_all_blocked_can_be_searched_still(
    admin: Visitor, register: Register
) -> None:
    admin.change(f"{LIST}/{register('phone-1')}", "/block")
    page = admin.get(f"{LIST}?status=active")
    assert "Every device is blocked." in page.text
    assert page.root.one("form", id="filters")


# --- pages -------------------------------------------------------------------------------------


@pytest.fixture
def many(register: Register) -> list[str]:
    """The identifiers of devices for two pages and a half, in the order of the list."""
    identifiers = [f"phone-{number:03}" for number in range(125)]
    for number, identifier in enumerate(identifiers):
        # Five at a time were active at the same moment.
        register(identifier, at=NOON - minutes(number // 5))
    by_five = [identifiers[start : start + 5] for start in range(0, 125, 5)]
    return [identifier for five in by_five for identifier in reversed(five)]


def to(page: Page, rel: str) -> str:
    return page.root.one("nav", aria_label="Pages").one("a", rel=rel)["href"]


def test_pages_have_fifty_rows_and_lose_and_repeat_none(admin: Visitor, many: list[str]) -> None:
    first = admin.get(LIST)
    second = admin.get(to(first, "next"))
    third = admin.get(to(second, "next"))
    assert [len(rows(page)) for page in (first, second, third)] == [50, 50, 25]
    assert listed(first) + listed(second) + listed(third) == many


def test_the_way_back_leads_over_the_same_pages(admin: Visitor, many: list[str]) -> None:
    second = admin.get(to(admin.get(LIST), "next"))
    back = admin.get(to(admin.get(to(second, "next")), "prev"))
    assert listed(back) == listed(second)
    assert listed(admin.get(to(back, "prev"))) == many[:50]


@pytest.mark.usefixtures("many")
def test_the_first_page_has_no_newer_and_the_last_no_older(admin: Visitor) -> None:
    first = admin.get(LIST)
    last = admin.get(to(admin.get(to(first, "next")), "next"))
    assert [link.text for link in first.root.one("nav", aria_label="Pages").all("a")] == ["Older"]
    assert "Older" not in last.root.one("nav", aria_label="Pages").text


@pytest.mark.usefixtures("many")
def test_pages_keep_the_filters(admin: Visitor) -> None:
    first = admin.get(f"{LIST}?name=phone-0&status=active")
    second = admin.get(to(first, "next"))
    assert len(listed(second)) == 50
    assert all(name.startswith("phone-0") for name in listed(second))
    assert second.root.one("input", name="name", type="search")["value"] == "phone-0"
    assert listed(admin.get(to(second, "prev"))) == listed(first)


@pytest.mark.parametrize(
    "cursor", ["x", "older", "older-1", "older-x-1", "older-1-99999999999999999999", "%00", "%FF"]
)
def test_a_broken_cursor_means_the_first_page(
    admin: Visitor, register: Register, cursor: str
) -> None:
    for identifier in ("second", "first"):
        register(identifier)
    page = admin.get(f"{LIST}?cursor={cursor}")
    assert page.status == 200
    assert listed(page) == ["first", "second"]


def test_a_cursor_to_a_place_that_is_gone_means_the_first_page(
    admin: Visitor, register: Register
) -> None:
    register("phone-1")
    assert listed(admin.get(f"{LIST}?cursor=older-0-0")) == ["phone-1"]


def test_a_place_behind_the_last_device_means_the_first_page(
    admin: Visitor, register: Register
) -> None:
    register("phone-1")
    assert listed(admin.get(f"{LIST}?cursor=older-0-1")) == ["phone-1"]


def test_few_devices_need_no_pages(admin: Visitor, register: Register) -> None:
    register("phone-1")
    assert admin.get(LIST).root.all("nav", aria_label="Pages") == []


# --- the first visit ---------------------------------------------------------------------------


def test_the_empty_list_says_how_a_device_gets_there(admin: Visitor) -> None:
    page = admin.get(LIST)
    assert page.root.one("h2").text == "No devices yet"
    assert page.root.all("form", id="filters") == []
    curl = page.root.one(id="curl").text
    assert curl.startswith("curl http://localhost/api/v1/device")
    for header in ("X-Device-ID", "X-Device-Application", "X-Device-OS-Version", "X-Device-Model"):
        assert f'-H "{header}: ' in curl


def test_the_call_to_try_has_the_address_that_the_page_came_by(
    admin: Visitor, session_cookie: str
) -> None:
    admin.client.set_cookie(COOKIE, session_cookie, domain="devices.example.org")
    page = admin.get(LIST, Host="devices.example.org:8443")
    assert "curl http://devices.example.org:8443/api/v1/device" in page.root.one(id="curl").text


def test_the_call_to_try_has_the_header_names_of_the_settings(
    make_app: MakeApp, session_cookie: str
) -> None:
    headers = "X-Acme-Device, X-Device-ID"
    app = make_app(APIDEVICES_HEADER_IDENTIFIER=headers, SECRET_KEY=SECRET_KEY)
    curl = signed_in_visitor(app, session_cookie).get(LIST).root.one(id="curl").text
    assert '-H "X-Acme-Device: my-first-device"' in curl


def test_the_empty_list_stays_as_it_is_while_it_waits(admin: Visitor, register: Register) -> None:
    waiting = admin.get(LIST).root.one("div", hx_trigger="every 3s")["hx-get"]
    assert admin.get(waiting, HX_Request="true", HX_Request_Type="full").status == 204
    register("phone-1")
    page = admin.get(waiting, HX_Request="true", HX_Request_Type="full")
    assert listed(page) == ["phone-1"]


def test_the_empty_list_offers_the_first_token(admin: Visitor) -> None:
    page = admin.follow(admin.change(LIST, "/settings/api-tokens"))
    assert "My first token" in page.text
    assert page.root.one(id="new-token").text.startswith("apd_")


def test_the_empty_list_looks_for_the_first_device_by_itself(
    admin: Visitor, register: Register
) -> None:
    [looking] = [node for node in admin.get(LIST).root.all("div") if node.get("hx-trigger")]

    def look() -> Page:
        return admin.get(looking["hx-get"], htmx=True, HX_Request_Type="full")

    assert look().status == 204  # of which HTMX swaps nothing
    register("phone-1")
    page = look()
    assert page.root.one(id=looking["hx-select"].removeprefix("#"))
    assert listed(page) == ["phone-1"]


# --- fragments ---------------------------------------------------------------------------------


def test_htmx_gets_the_list_alone(admin: Visitor, register: Register) -> None:
    register("phone-1")
    fragment = admin.get(f"{LIST}?name=phone", htmx=True)
    [section] = fragment.root.children
    assert (section.tag, section["id"]) == ("section", "devices")
    assert listed(fragment) == ["phone-1"]


def test_htmx_gets_no_match_as_the_same_element(admin: Visitor, register: Register) -> None:
    register("phone-1")
    [section] = admin.get(f"{LIST}?name=zebra", htmx=True).root.children
    assert (section.tag, section["id"]) == ("section", "devices")


@pytest.mark.parametrize(
    "asked",
    [
        {"HX_History_Restore_Request": "true"},
        {"HX_Boosted": "true"},
        {"HX_Request_Type": "full"},
    ],
    ids=["restored", "boosted", "selected from"],
)
@pytest.mark.parametrize("devices", [0, 1])
def test_htmx_gets_a_whole_page_where_it_asks_for_one(
    admin: Visitor, register: Register, asked: dict[str, str], devices: int
) -> None:
    for number in range(devices):
        register(f"phone-{number}")
    assert admin.get(LIST, htmx=True, **asked).is_whole


@pytest.mark.parametrize("htmx", [False, True])
def test_page_and_fragment_are_kept_apart_by_caches(
    admin: Visitor, register: Register, htmx: bool
) -> None:
    register("phone-1")
    headers = admin.get(LIST, htmx=htmx).headers
    assert "HX-Request" in headers["Vary"]
    assert headers["Cache-Control"] == "no-store"


def test_api_and_page_tell_the_same_order(
    admin: Visitor, administrator: Administrator, many: list[str]
) -> None:
    named = [device["identifier"] for device in administrator.devices()]
    assert named == listed(admin.get(LIST)) == many[:50]


def test_times_are_told_from_now(admin: Visitor, register: Register, the_clock: Clock) -> None:
    register("phone-1", at=NOON)
    the_clock.set(NOON + timedelta(days=3))
    shown = rows(admin.get(LIST))[0].one("time")
    assert shown.text == "3 days ago (2030-05-17 12:00:00 UTC)"
    assert shown["title"] == "2030-05-17 12:00:00 UTC"
    assert shown["datetime"] == "2030-05-17T12:00:00.000000Z"
