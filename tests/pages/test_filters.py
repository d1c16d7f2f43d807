"""Settings > API Devices: the filters of the list."""

import pytest

from tests.conftest import Register
from tests.pages.device_list import LIST, filtered
from tests.pages.visitor import Visitor


@pytest.fixture
def four_devices(admin: Visitor, register: Register) -> None:
    """Four devices. The second has a name, the last is blocked."""
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
        ("no such device", set()),
    ],
)
def test_name_filter_matches_part_of_name_or_identifier(
    admin: Visitor, text: str, found: set[str]
) -> None:
    assert filtered(admin, name=text) == found


@pytest.mark.usefixtures("four_devices")
@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("all", {"Tablet 100%", "Main Entrance", "ТЕЛЕФОН Straße", "tablet-4"}),
        ("active", {"Tablet 100%", "Main Entrance", "ТЕЛЕФОН Straße"}),
        ("blocked", {"tablet-4"}),
        ("unknown", {"Tablet 100%", "Main Entrance", "ТЕЛЕФОН Straße", "tablet-4"}),
    ],
)
def test_status_filter_selects_blocked_or_active_devices(
    admin: Visitor, status: str, found: set[str]
) -> None:
    assert filtered(admin, status=status) == found


@pytest.mark.usefixtures("four_devices")
def test_filters_are_combined(admin: Visitor) -> None:
    assert filtered(admin, name="tablet", status="active") == {"Tablet 100%"}


@pytest.mark.usefixtures("four_devices")
@pytest.mark.parametrize(
    ("query", "chosen"), [("", "all"), ("?status=blocked", "blocked"), ("?status=x", "all")]
)
def test_filter_form_shows_the_current_status(admin: Visitor, query: str, chosen: str) -> None:
    form = admin.get(LIST + query).root.one("form", id="filters")
    [checked] = [
        radio for radio in form.all("input", type="radio") if "checked" in radio.attributes
    ]
    assert checked["value"] == chosen


@pytest.mark.usefixtures("four_devices")
def test_search_text_stays_in_the_field_and_is_escaped(admin: Visitor) -> None:
    page = admin.get(f"{LIST}?name=%22%3E%3Cb%3Etablet")
    assert page.root.one("input", name="name", type="search")["value"] == '"><b>tablet'
    assert page.root.all("b") == []


@pytest.mark.usefixtures("four_devices")
def test_filter_form_has_no_csrf_token(admin: Visitor) -> None:
    form = admin.get(LIST).root.one("form", id="filters", method="get")
    assert {field["name"] for field in form.all("input")} == {"name", "status"}


@pytest.mark.usefixtures("four_devices")
def test_empty_result_repeats_the_search_and_links_to_the_full_list(admin: Visitor) -> None:
    empty = admin.get(f"{LIST}?name=zebra&status=active").root.one(id="devices")
    assert empty.all("table") == []
    assert "No matching devices" in empty.text
    assert "No unblocked device has “zebra” in its name or identifier." in empty.text
    assert empty.one("a")["href"] == LIST


def test_blocked_filter_shows_a_message_if_no_device_is_blocked(
    admin: Visitor, register: Register
) -> None:
    register("phone-1")
    page = admin.get(f"{LIST}?status=blocked")
    assert "No devices are blocked." in page.text
    assert page.root.one("form", id="filters")


def test_active_filter_shows_a_message_if_all_devices_are_blocked(
    admin: Visitor, register: Register
) -> None:
    admin.change(f"{LIST}/{register('phone-1')}", "/block")
    page = admin.get(f"{LIST}?status=active")
    assert "All devices are blocked." in page.text
    assert page.root.one("form", id="filters")
