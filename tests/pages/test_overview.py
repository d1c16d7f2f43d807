"""Settings > Overview: every figure is the number of devices in the list that it leads to."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from sqlalchemy import update
from werkzeug.datastructures import MultiDict

from apidevices import devices, listing, snapshots
from apidevices.database import Database
from apidevices.listing import Filters
from apidevices.models import DeviceActivity
from tests.command_line import Cli
from tests.conftest import NOON, NewToken, Register
from tests.pages.visitor import Page, Visitor

LIST = "/settings/api-devices"
OVERVIEW = f"{LIST}/overview"
DAY = timedelta(days=1)

APPLICATIONS = ("Box Office", "BOX OFFICE", "Касса & Co", None)
VERSIONS = ("2.9", "2.10", "2.10-beta1", None, "3")
SYSTEMS = ("Android", "iOS", None)


@pytest.fixture
def fleet(db: Database, register: Register) -> None:
    """Devices that were registered and active at different times; some are blocked."""
    for number in range(48):
        reported = {
            "application": APPLICATIONS[number % 4],
            "application_version": VERSIONS[number % 5],
            "os": SYSTEMS[number % 3],
            "os_version": str(number % 7),
        }
        known = {field: value for field, value in reported.items() if value is not None}
        device_id = register(f"phone-{number}", NOON - number * 2 * DAY, **known)
        if number % 5 == 0:
            devices.block(db, device_id, actor="ann", now=NOON - number * DAY)
        active = NOON - DAY * (number * 3 % 70) / 2
        times: dict[str, Any] = {"last_active_at": active}
        if number % 12 == 8:
            times["archived_at"] = NOON
        if number % 5:
            times["last_activity_at"] = active
        if number % 3:
            times["last_upload_at"] = active - number * DAY
        if number % 10 == 0:
            times["last_denied_at"] = NOON
        with db.write() as session:
            session.execute(
                update(DeviceActivity).where(DeviceActivity.device_id == device_id).values(times)
            )


def linked(page: Page) -> list[tuple[int, Filters]]:
    """Return the numbers of devices on the page that lead to the list, and its filters."""
    section = page.root.one(id="overview")
    found = []
    for cell in [*section.all("dd"), *section.all("tr"), *section.all("caption")]:
        for link in cell.all("a"):
            parts = urlsplit(link["href"])
            assert parts.path == LIST
            filters = Filters.lenient(MultiDict(parse_qsl(parts.query)))
            is_bar = cell.get("class") is None and cell.all("td", class_="number")
            text = cell.all("td", class_="number")[0].text if is_bar else link.text
            if cell.tag == "caption":
                text = cell.one("span", class_="number").text
            found.append((int(text.replace(",", "")), filters))
    return found


@pytest.mark.usefixtures("fleet")
def test_every_number_is_that_of_the_list_that_it_leads_to(db: Database, admin: Visitor) -> None:
    numbers = linked(admin.get(OVERVIEW))
    assert len(numbers) >= 40
    assert sum(number > 0 for number, _ in numbers) > 30
    for number, filters in numbers:
        assert number == listing.count(db, filters, now=NOON), filters


@pytest.mark.usefixtures("fleet")
def test_versions_add_up_to_the_active_devices(
    admin: Visitor, app: Flask, new_token: NewToken
) -> None:
    token = new_token("devices:read")
    sent = {"Authorization": f"Bearer {token}"}
    body: Any = app.test_client().get("/api/v1/overview", headers=sent).json
    active = next(each["active"] for each in body["periods"] if each["days"] == 30)
    for groups in (body["applications"], body["systems"]):
        assert sum(group["devices"] for group in groups) == active > 0
        for group in groups:
            assert group["devices"] == sum(each["devices"] for each in group["versions"])
    named = {str(group["name"]).casefold(): group for group in body["applications"]}
    versions = [each["version"] for each in named["box office"]["versions"]]
    assert versions == ["3", "2.10", "2.10-beta1", "2.9", None]
    assert Cli(app).json("overview") == body


@pytest.mark.database("sqlite")
def test_empty_fleet_says_how_to_begin(admin: Visitor) -> None:
    section = admin.get(OVERVIEW).root.one(id="overview")
    assert section.one("h2").text == "No devices yet"
    assert section.one("a", href=LIST).text == "How to send one"


@pytest.mark.database("sqlite")
def test_each_visit_of_a_small_fleet_has_fresh_figures(admin: Visitor, register: Register) -> None:
    for number in range(1, 4):
        register(f"phone-{number}")
        page = admin.get(OVERVIEW)
        assert page.root.one("dl", class_="lead").one("a", href=LIST).text == str(number)


@pytest.mark.database("sqlite")
def test_rare_versions_are_summed_up(admin: Visitor, register: Register) -> None:
    for number in range(70):
        register(f"phone-{number}", application="Box Office", application_version=f"1.{number}")
    for number in range(3):
        register(f"tablet-{number}", application="Box Office", application_version="1.7")
    table = admin.get(OVERVIEW).root.all("table", class_="bars")[0]
    shown = [row.one("th").text for row in table.one("tbody").all("tr")]
    assert (len(shown), shown[-1]) == (9, "62 other versions")
    assert "1.7" in shown
    assert shown[0] == "1.69"  # of versions on equally many devices, the newest are shown
    numbers = [int(cell.text) for cell in table.one("tbody").all("td", class_="number")]
    assert (sum(numbers), max(numbers[:-1])) == (73, 4)


@pytest.mark.database("sqlite")
def test_only_numbers_of_some_devices_are_links(admin: Visitor, register: Register) -> None:
    for number in range(7):
        register(f"phone-{number}", application=f"App {number}")
    root = admin.get(OVERVIEW).root
    linked = {row.one("th").text: bool(row.all("a")) for row in root.all("tr")[1:4]}
    assert linked == {"Active": True, "New": True, "Gone": False}
    assert "1 other: 1 device" in root.text


@pytest.mark.database("sqlite")
def test_page_is_filled_in_when_the_first_count_is_complete(
    admin: Visitor, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    register("phone-1")
    with monkeypatch.context() as patch:
        patch.setattr(snapshots.Snapshot, "latest", lambda *_: None)
        page = admin.get(OVERVIEW)
    section = page.root.one(id="overview")
    assert section.one("h2").text == "Counting your devices"
    assert section.one("noscript").one("a", href=OVERVIEW).text == "Reload"
    [poll] = [node for node in section.all("div") if node.get("hx-trigger")]
    assert (poll["hx-trigger"], poll["hx-target"]) == ("every 2s", "#overview")
    filled = admin.get(poll["hx-get"], htmx=True)
    assert filled.root.one("section", id="overview").one("dl").all("dd")[0].text == "1"


@pytest.mark.database("sqlite")
def test_api_asks_to_try_again_while_the_first_count_is_running(
    app: Flask, new_token: NewToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots.Snapshot, "latest", lambda *_: None)
    sent = {"Authorization": f"Bearer {new_token('devices:read')}"}
    response = app.test_client().get("/api/v1/overview", headers=sent)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert '"unavailable"' in response.text


@pytest.mark.database("sqlite")
def test_command_prints_tables(app: Flask, register: Register) -> None:
    register("phone-1", application="Box Office", application_version="6.1\x1b[31m")
    printed = Cli(app).succeed("overview")
    assert "As of 2030-05-17 12:00:00 UTC" in printed
    assert [line.split() for line in printed.splitlines() if line.startswith("Box Office")] == [
        ["Box", "Office", "1"]
    ]
    assert "6.1[31m" in printed  # without the control character
