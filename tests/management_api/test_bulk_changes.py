"""Block, unblock or delete several devices with one request, by ids or by a filter."""

import sqlite3
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from apidevices import devices, tokens
from apidevices.database import Database
from apidevices.devices import bulk
from apidevices.models import AuditEntry, DeviceToken
from tests.conftest import DEVICES, NOON, Administrator, Register

ACTIONS = ["block", "unblock", "delete"]


@pytest.fixture
def flood(db: Database, register: Register) -> int:
    """Three devices of another token than the older phone-1. Return the id of that token."""
    register("phone-1", NOON)
    token = tokens.issue(db, "copied", actor="ann", now=NOON)[0]
    for number in range(3):
        device_id = register(f"flood-{number}", NOON + timedelta(hours=1))
        with db.write() as session:
            session.add(
                DeviceToken(
                    device_id=device_id, token_id=token.id, first_used_at=NOON, last_used_at=NOON
                )
            )
    return token.id


def change(administrator: Administrator, action: str, **body: Any) -> tuple[int, Any]:
    response = administrator.request("POST", f"{DEVICES}/{action}", json=body)
    return response.status_code, response.get_json(force=True)


def statuses(administrator: Administrator) -> dict[str, str]:
    return {each["identifier"]: each["status"] for each in administrator.devices()}


def audit_log(db: Database) -> list[tuple[str, str, Any]]:
    with db.read() as session:
        entries = session.scalars(
            select(AuditEntry).where(AuditEntry.action.startswith("device")).order_by(AuditEntry.id)
        )
        return [(entry.action, entry.subject, entry.details) for entry in entries]


def test_flood_can_be_found_blocked_unblocked_and_deleted_by_a_filter(
    administrator: Administrator, flood: int
) -> None:
    found = administrator.devices(f"?token={flood}&registered_after=2030-05-17T12:30:00Z")
    ids = sorted(device["id"] for device in found)
    chosen = {
        "filter": {"token": flood, "registered_after": "2030-05-17T14:30:00+02:00"},
        "expected": 3,
    }
    blocked = change(administrator, "block", **chosen, reason="flood")
    assert blocked == (200, {"blocked": ids, "not_found": []})
    assert {device["block_reason"] for device in administrator.devices("?status=blocked")} == {
        "flood"
    }
    assert statuses(administrator)["phone-1"] == "active"
    unblocked = change(administrator, "unblock", **chosen)
    assert unblocked == (200, {"unblocked": ids, "not_found": []})
    assert set(statuses(administrator).values()) == {"active"}
    deleted = change(administrator, "delete", **chosen)
    assert deleted == (200, {"deleted": ids, "not_found": []})
    assert set(statuses(administrator)) == {"phone-1"}


def test_filter_has_the_values_of_the_list(administrator: Administrator, flood: int) -> None:
    ids = sorted(device["id"] for device in administrator.devices("?name=flood"))
    change(administrator, "tag", ids=ids, tags=["Team A"])
    chosen = {"filter": {"tag": "team a", "unnamed": 1}, "expected": 3}
    assert change(administrator, "block", **chosen) == (200, {"blocked": ids, "not_found": []})
    status, problem = change(administrator, "block", filter={"denied": 2}, expected=0)
    assert (status, problem["detail"]) == (422, "filter.denied: must be true or false.")


@pytest.mark.parametrize("action", ACTIONS)
def test_unexpected_number_of_matches_gets_409_and_changes_nothing(
    administrator: Administrator, db: Database, flood: int, action: str
) -> None:
    administrator.block("flood-0")
    before, log = administrator.devices(), audit_log(db)
    status, problem = change(administrator, action, filter={"token": flood}, expected=2)
    assert (status, problem["code"]) == (409, "conflict")
    assert "matches 3 devices, not 2" in problem["detail"]
    assert (administrator.devices(), audit_log(db)) == (before, log)


@pytest.mark.parametrize("action", ["unblock", "delete"])
def test_bulk_change_by_ids_reports_unknown_ids(
    administrator: Administrator, flood: int, action: str
) -> None:
    ids = sorted(device["id"] for device in administrator.devices("?name=flood"))
    change(administrator, "block", ids=ids)
    assert change(administrator, action, ids=[*ids[1:], 99]) == (
        200,
        {f"{action}d" if action == "delete" else "unblocked": ids[1:], "not_found": [99]},
    )
    assert set(statuses(administrator).items()) >= {("flood-0", "blocked"), ("phone-1", "active")}


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"filter": {}}, id="filter without a number"),
        pytest.param({"expected": 1}, id="number without a filter"),
        pytest.param({"ids": [1], "filter": {}, "expected": 1}, id="ids and filter"),
        pytest.param({"ids": [1], "expected": 1}, id="ids and number"),
        pytest.param({"filter": {}, "expected": "1"}, id="number as text"),
        pytest.param({"filter": {"token": "1"}, "expected": 1}, id="token as text"),
        pytest.param({"filter": {"page": 2}, "expected": 1}, id="unknown filter"),
        pytest.param({"filter": {"status": "asleep"}, "expected": 1}, id="unknown status"),
        pytest.param(
            {"filter": {"registered_after": "2030-05-17T12:00:00"}, "expected": 1},
            id="time without a zone",
        ),
        pytest.param({"filter": {"registered_after": 1905249600}, "expected": 1}, id="Unix time"),
    ],
)
def test_invalid_choice_of_devices_gets_422_and_changes_nothing(
    administrator: Administrator, register: Register, body: Any
) -> None:
    register("phone-1")
    status, problem = change(administrator, "delete", **body)
    assert (status, problem["code"]) == (422, "invalid_request")
    assert statuses(administrator) == {"phone-1": "active"}


def test_error_names_the_invalid_filter(administrator: Administrator) -> None:
    _, problem = change(administrator, "delete", filter={"token": "x"}, expected=1)
    assert problem["detail"] == "filter.token: must be an integer."
    invalid = administrator.request("GET", f"{DEVICES}?registered_after=2030-05-17").get_json()
    assert invalid["detail"] == (
        "registered_after: must be a time with a time zone, such as 2030-05-17T12:00:00Z."
    )


def test_audit_log_has_an_entry_per_device_and_one_for_the_filter(
    administrator: Administrator, db: Database, flood: int
) -> None:
    administrator.rename("Door", "flood-1")
    administrator.block("flood-0")
    ids = sorted(device["id"] for device in administrator.devices("?name=flood"))
    before = len(audit_log(db))
    change(administrator, "block", filter={"token": flood}, expected=3, reason="flood")
    by_token = {"filter": {"token": flood}}
    blocked_all = ("devices.blocked", "devices", {**by_token, "number": 2, "reason": "flood"})
    assert audit_log(db)[before:] == [
        *(("device.blocked", f"device:{each}", {"reason": "flood"}) for each in ids[1:]),
        blocked_all,
    ]
    change(administrator, "delete", filter={"token": flood, "name": "flood"}, expected=3)
    assert audit_log(db)[before:] == [
        *(("device.blocked", f"device:{each}", {}) for each in ids[1:]),
        blocked_all,
        *(("device.deleted", f"device:{each}", {}) for each in ids),
        ("devices.deleted", "devices", {**by_token, "number": 3}),
    ]


def test_large_change_is_one_audit_entry_and_several_transactions(
    administrator: Administrator, db: Database, flood: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MAX_ENTRIES", 1)
    monkeypatch.setattr(bulk, "STEP", 2)
    change(administrator, "block", filter={"token": flood}, expected=3)
    numbers = [(action, details.get("number")) for action, _, details in audit_log(db)]
    assert numbers == [("devices.blocked", 2), ("devices.blocked", 1)]
    assert list(statuses(administrator).values()).count("blocked") == 3


def test_change_that_finds_the_disk_full_in_its_second_transaction_is_completed(
    administrator: Administrator, flood: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    errors = iter([None, OperationalError("UPDATE", {}, full)])
    step = bulk.Change.step

    def step_on_a_full_disk(*arguments: Any) -> bulk.Step:
        if error := next(errors, None):
            raise error
        return step(*arguments)

    monkeypatch.setattr(bulk, "STEP", 2)
    monkeypatch.setattr(bulk.Change, "step", step_on_a_full_disk)
    active = {"filter": {"status": "active"}, "expected": 4}
    blocked = change(administrator, "block", **active)
    assert blocked == (200, {"blocked": [1, 2, 3, 4], "not_found": []})
    assert set(statuses(administrator).values()) == {"blocked"}


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "query",
    [
        "?token=x",
        "?token=-1",
        "?token=99999999999999999999",
        "?token=",
        "?registered_after=yesterday",
        "?registered_after=2030-05-17",
        "?registered_after=2030-05-17T12:00:00",
        "?registered_after=2030-02-30T12:00:00Z",
        "?registered_after=0001-01-01T00:00:00%2B14:00",
    ],
)
def test_invalid_filter_gets_422(administrator: Administrator, query: str) -> None:
    response = administrator.request("GET", f"{DEVICES}{query}")
    assert (response.status_code, response.get_json(force=True)["code"]) == (422, "invalid_request")


def test_next_page_keeps_the_time_with_its_zone(
    administrator: Administrator, register: Register, flood: int
) -> None:
    for number in range(60):
        register(f"till-{number}", NOON + timedelta(hours=1))
    query = f"{DEVICES}?registered_after=2030-05-17T14:30:00%2B02:00&status=active"
    first = administrator.request("GET", query).get_json()
    second = administrator.request("GET", first["next"]).get_json()
    names = {each["identifier"] for page in (first, second) for each in page["devices"]}
    assert (len(names), second["next"]) == (63, None)
    assert "phone-1" not in names


def test_blocked_by_names_who_blocked_each_device(
    administrator: Administrator, db: Database, flood: int
) -> None:
    change(administrator, "block", filter={"token": flood}, expected=3)
    [device_id] = [each["id"] for each in administrator.devices("?name=flood-2")]
    assert devices.get(db, device_id).blocked_by == "token administrator"
