"""Downloads of devices as CSV and JSON."""

import csv
import json
from datetime import timedelta

import pytest

from apidevices import audit, devices
from apidevices.database import Database
from apidevices.models import MAX_ID
from tests.conftest import NOON, Administrator, Register
from tests.pages.device_list import LIST
from tests.pages.visitor import Visitor


def download(admin: Visitor, name: str) -> str:
    response = admin.client.get(f"{LIST}/{name}")
    assert response.status_code == 200
    return response.get_data().decode()


def rows(text: str) -> list[dict[str, str]]:
    """Parse CSV as Python's own reader understands it."""
    return [*csv.DictReader(text.removeprefix("\ufeff").splitlines())]


@pytest.fixture
def phones(register: Register, db: Database) -> list[int]:
    ids = [register(name) for name in ("phone-1", "phone-2", "tablet-1")]
    devices.set_tags(db, ids[0], ["Team A", "Door"], actor="ann", now=NOON)
    return ids


def test_csv_has_a_byte_order_mark_and_the_fields_of_the_api(
    admin: Visitor, administrator: Administrator, phones: list[int]
) -> None:
    text = download(admin, "export.csv?name=phone&sort=name")
    assert text.startswith("\ufeffid,identifier,")
    [first, second] = rows(text)
    device = administrator.device("phone-1")
    texts: dict[str, str] = {
        name: "" if value is None else str(value) for name, value in device.items()
    }
    assert first == {**texts, "tags": "Door, Team A", "aliases": "", "shared": "false"}
    assert second["identifier"] == "phone-2"


def test_json_has_the_devices_of_the_api_in_its_order(
    admin: Visitor, administrator: Administrator, phones: list[int]
) -> None:
    found = json.loads(download(admin, "export.json?sort=-name"))
    assert [device["identifier"] for device in found] == ["tablet-1", "phone-2", "phone-1"]
    assert sorted(found, key=lambda device: device["id"]) == sorted(
        administrator.devices(), key=lambda device: int(device["id"])
    )
    assert json.loads(download(admin, "export.json?name=nothing")) == []


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
def test_cell_that_a_spreadsheet_would_run_starts_with_an_apostrophe(
    admin: Visitor, register: Register, start: str
) -> None:
    register("phone-1", application=f"{start}1+1", model=f"a;b; {start}1")
    [device] = rows(download(admin, "export.csv"))
    assert (device["application"], device["model"]) == (f"'{start}1+1", f"a;b;' {start}1")


def test_selected_devices_are_exported_alone(admin: Visitor, phones: list[int]) -> None:
    text = download(admin, f"export.csv?id={phones[2]}&id={phones[0]}")
    assert {device["identifier"] for device in rows(text)} == {"phone-1", "tablet-1"}
    assert rows(download(admin, f"export.csv?id={MAX_ID + 1}&id=x")) == []


@pytest.mark.parametrize("query", ["all=1", "all=1&registered_after=2030-05-17"])
def test_all_that_match_are_exported_even_if_some_are_selected_one_by_one(
    admin: Visitor, phones: list[int], register: Register, query: str
) -> None:
    register("phone-3", at=NOON - timedelta(days=1))
    text = download(admin, f"export.csv?name=phone&{query}&id={phones[0]}")
    found = {device["identifier"] for device in rows(text)}
    assert found == {"phone-1", "phone-2"} | ({"phone-3"} if query == "all=1" else set())


@pytest.mark.database("sqlite")
def test_export_is_a_dated_file_and_in_the_audit_log(
    admin: Visitor, db: Database, phones: list[int]
) -> None:
    response = admin.client.get(f"{LIST}/export.csv?name=phone")
    assert response.headers["Content-Disposition"] == (
        'attachment; filename="api-devices-2030-05-17.csv"'
    )
    [entry] = audit.latest(db, 1)
    assert (entry.actor, entry.action) == ("ann@example.org", "devices.exported")
    assert entry.details == {"format": "csv", "filter": {"name": "phone"}}
