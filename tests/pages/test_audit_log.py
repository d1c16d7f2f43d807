"""Settings > Audit log: sentences, filters, pages and downloads."""

import csv
import json
from datetime import timedelta

import pytest

from apidevices import audit, devices, tokens
from apidevices.audit import Action
from apidevices.database import Database
from apidevices.listing import Filters
from apidevices.models import AuditEntry
from apidevices.standalone.accounts.actions import Action as AccountAction
from tests.conftest import NOON, Register
from tests.pages.conftest import ANN
from tests.pages.visitor import HTMX, Page, Visitor

LOG = "/settings/audit-log"
DEVICES = "/settings/api-devices"
BOB = "bob@example.org"
DAY = timedelta(days=1)


def sentences(page: Page) -> list[str]:
    return [item.one("p").text for item in page.root.one(id="log").all("li")]


def filtered(admin: Visitor, query: str) -> list[str]:
    return sentences(admin.get(f"{LOG}?{query}"))


@pytest.fixture
def actions(db: Database, register: Register) -> tuple[int, int]:
    """Actions of two people on two devices, on three days."""
    scanner, tablet = register("scanner"), register("tablet")
    devices.rename(db, scanner, "Gate A", actor=ANN, now=NOON - 2 * DAY)
    devices.block(db, scanner, reason="Lost", actor=BOB, now=NOON - DAY)
    devices.block(db, tablet, until=NOON + DAY, actor=ANN, now=NOON - DAY)
    devices.unblock(db, scanner, actor=BOB, now=NOON)
    return scanner, tablet


RENAMED = f"{ANN} named a device Gate A"
BLOCKED = f"{BOB} blocked Gate A: “Lost”"
TABLET_BLOCKED = f"{ANN} blocked tablet until 2030-05-18 12:00 UTC"
UNBLOCKED = f"{BOB} unblocked Gate A"


def test_entries_are_sentences_newest_first(admin: Visitor, actions: tuple[int, int]) -> None:
    page = admin.get(LOG)
    about_devices = [text for text in sentences(page) if "Gate A" in text or "tablet" in text]
    assert about_devices == [UNBLOCKED, TABLET_BLOCKED, BLOCKED, RENAMED]
    [until] = [
        time for item in page.root.one(id="log").all("li") for time in item.one("p").all("time")
    ]
    assert until["datetime"] == "2030-05-18T12:00:00Z"
    assert any(link["href"] == f"{DEVICES}/{actions[0]}" for link in page.root.all("a"))
    assert admin.get(DEVICES).root.one("a", href=LOG).text == "Audit log"


FILTERS = {
    f"actor={BOB}": [UNBLOCKED, BLOCKED],
    "action=device.blocked": [TABLET_BLOCKED, BLOCKED],
    "device=1": [UNBLOCKED, BLOCKED, RENAMED],
    "to=2030-05-16&action=device.blocked": [TABLET_BLOCKED, BLOCKED],
    f"from=2030-05-16&to=2030-05-16&actor={BOB}": [BLOCKED],
    "from=2030-05-15T12:00:01Z&action=device.renamed": [],
    f"actor={ANN}&action=device.blocked&device=2": [TABLET_BLOCKED],
    "to=2030-05-15&device=x&from=x&cursor=x&unknown=1": [RENAMED],
}


@pytest.mark.usefixtures("actions")
def test_filters_combine(admin: Visitor) -> None:
    for query, expected in FILTERS.items():
        assert filtered(admin, query) == expected, query


@pytest.mark.database("sqlite")
@pytest.mark.usefixtures("actions")
def test_form_filters_in_place_and_without_scripts(admin: Visitor) -> None:
    form = admin.get(f"{LOG}/filters?action=device.blocked")
    assert form.root.one("select", name="action").one("option", selected="").text == (
        "Device blocked"
    )
    sent = f"{LOG}?filtered=1&actor=&action=device.blocked&from=&to=&find=gate+a"
    response = admin.client.get(sent)
    assert (response.status_code, response.location) == (
        302,
        f"{LOG}?action=device.blocked&device=1",
    )
    response = admin.client.get(sent, headers=HTMX)
    assert response.headers["HX-Push-Url"] == f"{LOG}?action=device.blocked&device=1"
    assert "<main" not in response.text
    assert "Lost" in response.text
    page = admin.get(f"{LOG}?filtered=1&find=nothing")
    assert "No device has “nothing” in the name or identifier." in page.text


@pytest.mark.database("sqlite")
def test_every_entry_is_on_exactly_one_page(admin: Visitor, db: Database) -> None:
    with db.write() as session:
        for number in range(120):  # many at the same time: the id breaks ties
            at = NOON + timedelta(seconds=number // 40)
            audit.record(session, Action.VIEW_SAVED, "view:1", actor=BOB, at=at, name=str(number))
    path: str | None = f"{LOG}?actor={BOB}"
    found, pages = [], []
    while path:
        page = admin.get(path)
        found += [item["id"] for item in page.root.one(id="log").all("li")]
        pages.append(page)
        path = next((link["href"] for link in page.root.all("a", rel="next")), None)
    assert len(found) == len(set(found)) == 120
    previous = pages[-1].root.one("a", rel="prev")["href"]
    assert sentences(admin.get(previous)) == sentences(pages[1])


@pytest.mark.database("sqlite")
def test_actions_on_tokens_many_devices_and_deleted_devices_are_sentences(
    admin: Visitor, db: Database, register: Register
) -> None:
    register("phone-1")
    phone = register("phone-2")
    tokens.issue(db, "fleet", ["devices:read"], actor=BOB, now=NOON)
    chosen = devices.Matching(Filters(name="phone"), None)
    devices.tag_all(db, chosen, ["Gate", "Hall"], actor=BOB, now=NOON)
    devices.delete(db, phone, actor=BOB, now=NOON)
    assert filtered(admin, f"actor={BOB}") == [
        f"{BOB} deleted device {phone}",
        f"{BOB} tagged 2 devices with Gate, Hall (filter: name phone)",
        f"{BOB} tagged device {phone}",
        f"{BOB} tagged phone-1 with Gate, Hall",
        f"{BOB} created the API token fleet with the scopes devices:read",
    ]


@pytest.mark.database("sqlite")
def test_new_names_are_not_repeated(admin: Visitor, db: Database, phone: int) -> None:
    for number, name in enumerate(("Gate", "Hall", "", "Foyer")):
        at = NOON + timedelta(minutes=number)
        devices.rename(db, phone, name, actor=BOB, now=at)
    assert filtered(admin, f"actor={BOB}") == [
        f"{BOB} named a device Foyer",
        f"{BOB} removed the name “Hall” of Foyer",
        f"{BOB} renamed Foyer from “Gate” to “Hall”",
        f"{BOB} renamed Foyer to “Gate”",
    ]


@pytest.mark.database("sqlite")
def test_every_action_has_a_sentence() -> None:
    for action in (*Action, *AccountAction):
        entry = AuditEntry(actor=BOB, action=action, subject="user:1", details={"number": 3})
        text = "".join(part.text for part in audit.sentence(entry, {}))
        assert not text.startswith(f"{BOB}:"), action
        assert len(text.split()) >= 3, text


def test_csv_has_the_entries_that_match_and_runs_no_formula(
    admin: Visitor, actions: tuple[int, int], db: Database
) -> None:
    with db.write() as session:
        audit.record(session, Action.VIEW_SAVED, "view:1", actor="=1+1", at=NOON, name="a;=1")
    text = admin.client.get(f"{LOG}/export.csv?actor=%3D1%2B1").text
    [row] = csv.DictReader(text.removeprefix("\ufeff").splitlines())
    assert (row["actor"], row["action"], row["at"]) == (
        "'=1+1",
        "view.saved",
        "2030-05-17T12:00:00.000000Z",
    )
    assert row["details"] == '{"name": "a;\'=1"}'
    newest = admin.get(f"{LOG}?action=log.exported")
    assert sentences(newest) == [f"{ANN} exported the audit log as CSV (filter: actor =1+1)"]


def test_json_lines_are_the_entries_of_the_command(
    admin: Visitor, actions: tuple[int, int]
) -> None:
    response = admin.client.get(f"{LOG}/export.jsonl?device={actions[1]}")
    [entry] = map(json.loads, response.text.splitlines())
    assert entry["details"] == {"reason": None, "until": "2030-05-18T12:00:00.000000Z"}
    assert (entry["subject"], entry["actor"]) == (f"device:{actions[1]}", ANN)
    assert response.headers["Content-Disposition"].endswith('"audit-log-2030-05-17.jsonl"')


@pytest.mark.database("sqlite")
def test_log_is_for_signed_in_administrators(anonymous: Visitor) -> None:
    for path in (LOG, f"{LOG}/filters", f"{LOG}/export.csv"):
        assert anonymous.client.get(path).status_code == 303


@pytest.mark.database("sqlite")
def test_page_of_a_device_links_to_its_entries(admin: Visitor, phone: int) -> None:
    page = admin.get(f"{DEVICES}/{phone}")
    assert page.root.one("a", href=f"{LOG}?device={phone}").text.startswith("Audit log")
