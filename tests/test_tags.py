"""Tags and notes of devices, through the functions, the management API and the command line."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from apidevices import devices, signals
from apidevices.database import Database
from apidevices.devices import Matching, bulk
from apidevices.errors import Conflict, InvalidInput
from apidevices.listing import Filters
from apidevices.models import AuditEntry
from tests.command_line import Cli
from tests.conftest import DEVICES, NOON, Administrator, Register

AUDIT: dict[str, Any] = {"actor": "ann", "now": NOON}


@pytest.fixture
def cli(app: Flask) -> Cli:
    return Cli(app)


def audit_log(db: Database) -> list[tuple[str, str, Any]]:
    with db.read() as session:
        query = select(AuditEntry).where(AuditEntry.action.contains("tagged"))
        entries = session.scalars(query.order_by(AuditEntry.id))
        return [(entry.action, entry.subject, entry.details) for entry in entries]


def tags_of(db: Database, *device_ids: int) -> list[list[str]]:
    return [devices.get(db, device_id).tags for device_id in device_ids]


# --- one device --------------------------------------------------------------------------------


def test_tags_are_cleaned_and_differ_in_more_than_case(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    device = devices.tag(
        db, device_id, [" Team\tA ", "ＴＥＡＭ a", "Straße", "", "\u200b"], **AUDIT
    )
    assert device.tags == ["Straße", "Team A"]
    devices.untag(db, device_id, ["STRASSE", "unknown"], **AUDIT)
    assert tags_of(db, device_id) == [["Team A"]]


def test_first_spelling_in_the_fleet_wins(db: Database, register: Register) -> None:
    first, second, third = (register(f"phone-{number}") for number in range(3))
    devices.tag(db, first, ["Team A"], **AUDIT)
    devices.set_tags(db, second, ["TEAM A", "door"], **AUDIT)
    devices.tag_all(db, [second, third], ["team a", "Door"], **AUDIT)
    assert tags_of(db, second, third) == [["door", "Team A"]] * 2


def test_concurrent_changes_agree_on_the_spelling_of_a_new_tag(
    db: Database, register: Register
) -> None:
    ids = [register(f"phone-{number}") for number in range(8)]

    def tag(device_id: int) -> None:
        devices.tag(db, device_id, ["Team A" if device_id % 2 else "team a"], **AUDIT)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(tag, ids))
    assert len({tag for tags in tags_of(db, *ids) for tag in tags}) == 1


def test_concurrent_changes_of_one_device_lose_no_tag(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    with ThreadPoolExecutor(8) as threads:
        tags = [f"tag {number}" for number in range(8)]
        done = threads.map(lambda tag: devices.tag(db, device_id, ["all", tag], **AUDIT), tags)
        assert max(len(device.tags) for device in done) == 9
    assert tags_of(db, device_id) == [["all", *tags]]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        pytest.param(["x" * 51], "50 characters", id="too long"),
        pytest.param(["A, B"], "comma", id="comma"),
        pytest.param(["new"], "50 tags", id="too many"),
    ],
)
def test_invalid_tag_changes_nothing(
    db: Database, register: Register, tags: list[str], message: str
) -> None:
    device_id = register("phone-1")
    full = [f"tag {number:02}" for number in range(50)]
    assert devices.set_tags(db, device_id, full, **AUDIT).tags == full
    other = register("phone-2")
    with pytest.raises(InvalidInput, match=message):
        devices.tag(db, device_id, tags, **AUDIT)
    with pytest.raises(InvalidInput, match=message):
        devices.tag_all(db, [device_id, other], tags, **AUDIT)
    assert tags_of(db, device_id, other) == [full, []]
    assert devices.set_tags(db, device_id, ["new"], **AUDIT).tags == ["new"]


def test_changes_of_tags_are_recorded_and_signalled_once(
    app: Flask, db: Database, register: Register
) -> None:
    device_id = register("phone-1")
    sent = []

    def receive(_: Flask, device: Any, tags: list[str]) -> None:
        sent.append((device.tags, tags))

    with (
        app.app_context(),
        signals.device_tagged.connected_to(receive),
        signals.device_untagged.connected_to(receive),
    ):
        devices.set_tags(db, device_id, ["A", "B"], **AUDIT)
        devices.tag(db, device_id, ["a"], **AUDIT)
        devices.set_tags(db, device_id, ["B", "C"], **AUDIT)
        devices.tag_all(db, [device_id], ["c", "D"], **AUDIT)
        devices.untag_all(db, [device_id], ["c", "E"], **AUDIT)
    subject = f"device:{device_id}"
    assert audit_log(db) == [
        ("device.tagged", subject, {"tags": ["A", "B"]}),
        ("device.untagged", subject, {"tags": ["A"]}),
        ("device.tagged", subject, {"tags": ["C"]}),
        ("device.tagged", subject, {"tags": ["D"]}),
        ("device.untagged", subject, {"tags": ["C"]}),
    ]
    after = ["B", "C"]
    assert sent == [
        (["A", "B"], ["A", "B"]),
        (after, ["A"]),
        (after, ["C"]),
        ([*after, "D"], ["D"]),
        (["B", "D"], ["C"]),
    ]


def test_note_keeps_line_breaks_and_can_be_removed(db: Database, register: Register) -> None:
    device_id = register("phone-1")
    text = " \r\nLent to  Ann,\r\n\r\nback\x00 on\tMonday\u202e\n\n"
    assert devices.annotate(db, device_id, text, **AUDIT).note == "Lent to Ann,\n\nback on Monday"
    with pytest.raises(InvalidInput, match="10,000"):
        devices.annotate(db, device_id, "x" * 10_001, **AUDIT)
    assert devices.get(db, device_id).note == "Lent to Ann,\n\nback on Monday"
    assert devices.annotate(db, device_id, "\n", **AUDIT).note is None


def test_audit_log_does_not_contain_the_text_of_notes(
    cli: Cli, db: Database, register: Register
) -> None:
    device_id = register("phone-1")
    for _ in range(2):
        devices.annotate(db, device_id, "Lent to Ann", **AUDIT)
    [entry] = [entry for entry in cli.json("audit-log") if entry["action"] == "device.annotated"]
    assert (entry["subject"], entry["details"]) == (f"device:{device_id}", {"characters": 11})


# --- many devices ------------------------------------------------------------------------------


def test_all_devices_that_match_a_filter_are_tagged_in_steps(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [register(f"till-{number}") for number in range(5)]
    register("phone-1")
    monkeypatch.setattr(bulk, "STEP", 2)
    monkeypatch.setattr(bulk, "MAX_ENTRIES", 1)
    tills = Matching(Filters(name="till"), 5)
    devices.tag(db, ids[0], ["Door"], **AUDIT)
    before = len(audit_log(db))
    assert devices.tag_all(db, tills, ["door", "Team A"], **AUDIT) == ids
    assert tags_of(db, *ids, ids[-1] + 1) == [["Door", "Team A"]] * 5 + [[]]
    assert devices.untag_all(db, tills, ["DOOR"], **AUDIT) == ids
    assert tags_of(db, *ids) == [["Team A"]] * 5
    numbers = [(action, details["number"]) for action, _, details in audit_log(db)[before:]]
    assert numbers == [("devices.tagged", n) for n in (2, 2, 1)] + [
        ("devices.untagged", n) for n in (2, 2, 1)
    ]
    for change in (devices.tag_all, devices.untag_all):
        with pytest.raises(Conflict, match="matches 5 devices, not 4"):
            change(db, Matching(Filters(name="till"), 4), ["Team A"], **AUDIT)


# --- management API ----------------------------------------------------------------------------


def test_patch_changes_only_what_it_contains(
    administrator: Administrator, register: Register
) -> None:
    path = f"{DEVICES}/{register('phone-1')}"
    steps: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
        ({"name": "Door", "note": "a\nb", "tags": ["B", "A"]}, ("Door", "a\nb", ["A", "B"])),
        ({"tags": ["b"]}, ("Door", "a\nb", ["B"])),
        ({"note": None}, ("Door", None, ["B"])),
        ({"tags": []}, ("Door", None, [])),
        ({"name": None}, (None, None, [])),
    ]
    etags = set()
    for body, expected in steps:
        etag = administrator.request("GET", path).headers["ETag"]
        response = administrator.request("PATCH", path, json=body, if_match=etag)
        device = response.get_json()
        assert (device["name"], device["note"], device["tags"]) == expected
        assert administrator.request("GET", path).get_json() == device
        etags.add(response.headers["ETag"])
    assert len(etags) == len(steps)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"tags": None}, "tags: must be a list."),
        ({"tags": [1]}, "tags[0]: must be a string."),
        ({"name": "Door", "tags": ["A,B"]}, "tags[0]: must not contain a comma."),
        ({"name": "Door", "tags": ["x" * 51]}, "tags[0]: must have at most 50 characters."),
        ({"name": "Door", "note": "x" * 10_001}, "note: must have at most 10,000 characters."),
    ],
)
def test_invalid_patch_gets_422_and_changes_nothing(
    administrator: Administrator, register: Register, body: dict[str, Any], detail: str
) -> None:
    path = f"{DEVICES}/{register('phone-1')}"
    response = administrator.request("PATCH", path, json=body)
    assert (response.status_code, response.get_json()["detail"]) == (422, detail)
    assert administrator.device()["name"] is None


def test_bulk_tag_and_untag_take_ids_or_a_filter(
    administrator: Administrator, register: Register
) -> None:
    ids = [register(f"phone-{number}") for number in range(3)]

    def post(action: str, **body: Any) -> tuple[int, Any]:
        response = administrator.request("POST", f"{DEVICES}/{action}", json=body)
        return response.status_code, response.get_json()

    by_ids = post("tag", ids=[*ids[:2], 99], tags=["Team A", "Door"])
    assert by_ids == (200, {"tagged": ids[:2], "not_found": [99]})
    by_filter = post("untag", filter={"name": "phone"}, expected=3, tags=["team a"])
    assert by_filter == (200, {"untagged": ids, "not_found": []})
    status, problem = post("tag", filter={"name": "phone"}, expected=2, tags=["Team B"])
    assert (status, problem["code"]) == (409, "conflict")
    status, problem = post("tag", ids=ids, tags=[])
    assert (status, problem["detail"]) == (422, "tags: must not be empty.")
    listed = {device["identifier"]: device["tags"] for device in administrator.devices()}
    assert listed == {"phone-0": ["Door"], "phone-1": ["Door"], "phone-2": []}


# --- command line ------------------------------------------------------------------------------


def test_commands_change_tags_and_note(cli: Cli, register: Register) -> None:
    register("phone-1")
    assert cli.succeed("tag", "phone-1", "Team A", "Door") == (
        "phone-1 has the tags Door, Team A\n"
    )
    assert cli.succeed("note", "phone-1", "Lent to Ann\nuntil Monday") == "phone-1 has a new note\n"
    shown = cli.succeed("show", "phone-1").splitlines()
    assert any(line.split() == ["tags", "Door,", "Team", "A"] for line in shown)
    assert any(line.endswith("until Monday") for line in shown)
    assert "Door, Team A" in cli.succeed("list")
    device = cli.json("show", "phone-1")
    assert (device["tags"], device["note"]) == (["Door", "Team A"], "Lent to Ann\nuntil Monday")
    assert cli.succeed("untag", "phone-1", "door") == "phone-1 has the tag Team A\n"
    assert cli.succeed("untag", "phone-1", "TEAM A") == "phone-1 has no tags\n"
    assert cli.succeed("note", "phone-1", "") == "phone-1 has no note\n"
    assert cli.fail("tag", "phone-1", "A,B") == (
        "The tag “A,B” contains a comma, which separates tags."
    )
    assert cli.run("tag", "phone-1").exit_code == 2
