"""Settings > API Devices: the filters of the list."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from apidevices.listing import limits
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
    ("query", "chosen"), [("", "All 4"), ("?status=blocked", "Blocked 1"), ("?status=x", "All 4")]
)
def test_current_status_is_marked_and_each_status_has_its_count(
    admin: Visitor, query: str, chosen: str
) -> None:
    statuses = admin.get(LIST + query).root.one("nav", aria_label="Status")
    assert [link.text for link in statuses.all("a")] == ["All 4", "Active 3", "Blocked 1"]
    assert [link.text for link in statuses.all("a", aria_current="true")] == [chosen]


@pytest.mark.usefixtures("four_devices")
def test_counts_of_statuses_are_those_of_the_other_filters(admin: Visitor) -> None:
    for status in ("all", "active", "blocked"):
        page = admin.get(f"{LIST}?name=tablet&status={status}")
        statuses = page.root.one("nav", aria_label="Status").all("a")
        assert [link.text for link in statuses] == ["All 2", "Active 1", "Blocked 1"]


@pytest.mark.usefixtures("four_devices")
def test_search_text_stays_in_the_field_and_is_escaped(admin: Visitor) -> None:
    page = admin.get(f"{LIST}?name=%22%3E%3Cb%3Etablet")
    assert page.root.one("input", name="name", type="search")["value"] == '"><b>tablet'
    assert page.root.all("b") == []


@pytest.mark.usefixtures("four_devices")
def test_search_keeps_the_other_filters_and_the_order(admin: Visitor) -> None:
    page = admin.get(f"{LIST}?status=active&tag=a&tag=b&sort=name&name=x")
    form = page.root.one("form", id="filters", method="get")
    kept = [(field["name"], field["value"]) for field in form.all("input", type="hidden")]
    assert kept == [
        ("status", "active"),
        ("tag", "a"),
        ("tag", "b"),
        ("sort", "name"),
        ("filtered", "1"),
    ]


@pytest.mark.usefixtures("four_devices")
def test_form_without_scripts_leads_to_a_url_without_empty_filters(admin: Visitor) -> None:
    assert admin.get(f"{LIST}?name=&application=&filtered=1").location == LIST
    page = admin.get(f"{LIST}?name=tab&os=&registered_after=2030-05-01&filtered=1")
    assert page.location == f"{LIST}?name=tab&registered_after=2030-05-01T00:00:00.000000Z"


@pytest.mark.usefixtures("four_devices")
def test_empty_result_repeats_the_search_and_links_to_the_full_list(admin: Visitor) -> None:
    empty = admin.get(f"{LIST}?name=zebra&status=active").root.one(id="devices")
    assert empty.all("table") == []
    assert "No matching devices" in empty.text
    assert "No unblocked device has “zebra” in its name or identifier." in empty.text
    assert empty.one("a", class_="button")["href"] == LIST


@pytest.mark.usefixtures("four_devices")
def test_each_filter_has_a_link_that_removes_it(admin: Visitor) -> None:
    query = {
        "status": "active",
        "application": "Box",
        "version_below": "2.10",
        "tag": ["A&B", "C"],
        "inactive_days": "1",
        "unnamed": "1",
    }
    page = admin.get(f"{LIST}?{urlencode(query, doseq=True)}")
    chips = {chip.text: chip["href"] for chip in page.root.all("a", class_="chip")}
    assert [text.removeprefix("Remove the filter ") for text in chips] == [
        "Application: Box",
        "Version below: 2.10",
        "Tag: A&B",
        "Tag: C",
        "Inactive for: 1 day",
        "Without a name",
    ]
    left = {text: parse_qs(urlsplit(url).query) for text, url in chips.items()}
    assert left["Remove the filter Tag: C"]["tag"] == ["A&B"]
    without = left["Remove the filter Application: Box"]
    assert without.keys() == {"status", "tag", "inactive_days", "unnamed"}


@pytest.mark.usefixtures("four_devices")
def test_version_without_an_application_is_left_out_with_a_message(admin: Visitor) -> None:
    sent = f"{LIST}?version_below=2.5&application=&filtered=1"
    message = "“Version below” needs an application, so it was left out."
    assert admin.get(admin.get(sent).location).announced.endswith(message)
    assert message in admin.get(sent, htmx=True).text


def test_filter_form_offers_what_the_devices_report(
    admin: Visitor, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CHOICES_PATIENCE", 30)
    register("phone-1", application="Box Office", application_version="2.1", os="Android")
    register("phone-2", application="Box Office", application_version="2.0", os="iOS")
    form = admin.get(f"{LIST}/filters?application=Box+Office&os=Windows").root.one(
        "form", class_="filter-form"
    )

    def options(name: str) -> list[str]:
        return [option.text for option in form.one("select", name=name).all("option")]

    assert options("application") == ["Any", "Box Office (2)"]
    assert options("application_version") == ["Any", "2.0 (1)", "2.1 (1)"]
    assert options("os") == ["Any", "Windows", "Android (1)", "iOS (1)"]
    assert form.one("select", name="os").one("option", value="Windows")["selected"] == ""


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
