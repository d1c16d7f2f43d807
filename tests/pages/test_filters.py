"""Settings > API Devices: what narrows the list."""

import pytest

from tests.conftest import Register
from tests.pages.device_list import LIST, narrowed
from tests.pages.visitor import Visitor


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
