"""Merge two devices: what is kept, and that the old identifier goes on as an alias."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import audit, devices, operations, signals, tokens
from apidevices.database import Database
from apidevices.devices import Matching
from apidevices.listing import Filters
from apidevices.models import Device
from tests.conftest import (
    DEVICE,
    DEVICES,
    NOON,
    UPLOADS,
    VERIFY,
    Administrator,
    Register,
    as_device,
    state_of,
)
from tests.listing.conftest import found
from tests.test_delete import everything_stored

OLD, NEW = "phone-old", "phone-new"
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def ids(register: Register) -> tuple[int, int]:
    return two_devices(register)


def two_devices(register: Register) -> tuple[int, int]:
    """Register two devices, of which the new one was active more recently; return their ids."""
    return register(OLD, os="iOS", os_version="17"), register(NEW, LATER, os="iOS", model="X")


def merge(
    administrator: Administrator, old: str | int = OLD, new: str | int = NEW, **options: Any
) -> Any:
    """Merge devices, given by identifier or id; return the response."""
    old_id, new_id = (
        each if isinstance(each, int) else administrator.device(each)["id"] for each in (old, new)
    )
    path = f"{DEVICES}/{new_id}/merge"
    return administrator.request("POST", path, json={"from": old_id}, **options)


def test_merge_moves_everything_and_keeps_what_was_last_reported(
    client: FlaskClient, administrator: Administrator, token: str, ids: tuple[int, int]
) -> None:
    assert client.post(UPLOADS, headers=as_device(token, OLD, os="iOS"), json=1).status_code == 201
    assert client.get(DEVICE, headers=as_device(token, NEW, os="iPadOS")).status_code == 200
    described = {"name": "Kitchen", "note": "old note", "tags": ["Spare", "Team A"]}
    administrator.request("PATCH", f"{DEVICES}/{ids[0]}", json=described)
    other = {"note": "new note", "tags": ["team a", "Loud"]}
    administrator.request("PATCH", f"{DEVICES}/{ids[1]}", json=other)
    before = {each["identifier"]: each for each in administrator.devices()}
    entries = [*administrator.history(OLD), *administrator.history(NEW)]
    response = merge(administrator)
    merged = administrator.device(NEW)
    assert (response.status_code, response.get_json()) == (200, merged)
    assert [each["identifier"] for each in administrator.devices()] == [NEW]
    assert (merged["id"], merged["aliases"], merged["name"]) == (ids[1], [OLD], "Kitchen")
    assert (merged["note"], merged["tags"]) == ("new note\n\nold note", ["Loud", "Spare", "Team A"])
    assert (merged["os"], merged["os_version"], merged["model"]) == ("iPadOS", None, "X")
    assert merged["first_seen_at"] == before[OLD]["first_seen_at"]
    assert merged["last_active_at"] == before[NEW]["last_active_at"]
    assert merged["last_upload_at"] == before[OLD]["last_upload_at"] is not None
    entry, *others = administrator.history(NEW)
    assert (entry["kind"], entry["actor"]) == ("merged", "token administrator")
    assert entry["merged"] == {"id": ids[0], "identifier": OLD, "name": "Kitchen"}
    assert entry["changes"] == {"name": {"old": None, "new": "Kitchen"}}
    stored = [each for each in entries if each["kind"] != "token_first_used"]
    assert [each for each in others if each["kind"] != "token_first_used"] == sorted(
        stored, key=lambda each: -each["id"]
    )


def test_details_of_the_merged_device_stay_if_it_was_active_more_recently(
    administrator: Administrator, ids: tuple[int, int]
) -> None:
    assert merge(administrator, NEW, OLD).status_code == 200
    merged = administrator.device(OLD)
    assert (merged["os"], merged["os_version"], merged["model"]) == ("iOS", "17", "X")
    changes = administrator.history(OLD)[0]["changes"]
    assert changes == {"model": {"old": None, "new": "X"}}


def test_requests_with_the_old_identifier_come_from_the_device(
    client: FlaskClient, administrator: Administrator, token: str, ids: tuple[int, int]
) -> None:
    merge(administrator)
    seen = client.get(DEVICE, headers=as_device(token, OLD, os="Android")).get_json()
    assert (seen["id"], seen["identifier"], seen["os"]) == (ids[1], NEW, "Android")
    assert client.get(VERIFY, headers=as_device(token, OLD)).status_code == 200
    assert client.post(UPLOADS, headers=as_device(token, OLD), json=1).status_code == 201
    assert [each["identifier"] for each in administrator.devices()] == [NEW]
    assert administrator.device(NEW)["last_upload_at"]


def test_block_of_the_device_denies_all_of_its_identifiers(
    client: FlaskClient, administrator: Administrator, token: str, ids: tuple[int, int]
) -> None:
    merge(administrator)
    administrator.block(NEW)
    for identifier in (OLD, NEW):
        for path in (DEVICE, VERIFY):
            headers = as_device(token, identifier, os="Android")
            assert client.get(path, headers=headers).status_code == 403
    assert administrator.device(NEW)["denied_count"] == 4


UNTIL = {"until": "2090-05-17T12:00:00.000000Z", "reason": "until"}
LONGER = {"until": "2091-05-17T12:00:00.000000Z", "reason": "longer"}
FOREVER = {"until": None, "reason": "forever"}


@pytest.mark.parametrize(
    ("old", "new", "wins"),
    [
        (UNTIL, None, UNTIL),
        (None, UNTIL, UNTIL),
        (UNTIL, LONGER, LONGER),
        (FOREVER, LONGER, FOREVER),
        (LONGER, FOREVER, FOREVER),
    ],
)
def test_merge_keeps_the_block_that_ends_later(
    client: FlaskClient,
    administrator: Administrator,
    token: str,
    ids: tuple[int, int],
    old: Any,
    new: Any,
    wins: Any,
) -> None:
    for device_id, block in zip(ids, (old, new), strict=True):
        if block:
            administrator.request("POST", f"{DEVICES}/{device_id}/block", json=block)
    headers = [as_device(token, identifier) for identifier in (OLD, NEW)]
    denied = [client.get(DEVICE, headers=each).status_code for each in headers].count(403)
    merged = merge(administrator).get_json()
    assert (merged["blocked_until"], merged["block_reason"]) == (wins["until"], wins["reason"])
    assert merged["last_activity_at"] == merged["blocked_at"]
    assert [client.get(DEVICE, headers=each).status_code for each in headers] == [403, 403]
    blocked = administrator.devices("?status=blocked")
    assert [(each["identifier"], each["denied_count"]) for each in blocked] == [(NEW, denied + 2)]


def test_undoing_a_block_does_not_lift_the_block_of_a_merged_device(
    administrator: Administrator, db: Database, ids: tuple[int, int]
) -> None:
    arguments = {"reason": None, "until": None}
    operation = operations.begin(db, "block", [ids[1]], arguments=arguments, actor="ann", now=LATER)
    administrator.request("POST", f"{DEVICES}/{ids[0]}/block", json=UNTIL)
    merge(administrator)
    operations.undo(db, operation.id, actor="ann", now=LATER)
    assert administrator.device(NEW)["status"] == "blocked"


def test_operations_on_merged_devices_can_be_undone(
    administrator: Administrator, db: Database, register: Register, ids: tuple[int, int]
) -> None:
    chosen = [*ids, register("phone-3")]
    operation = operations.begin(
        db, "tag", chosen, arguments={"tags": ["Loud"]}, actor="ann", now=LATER
    )
    merge(administrator)
    operations.undo(db, operation.id, actor="ann", now=LATER)
    assert [each["tags"] for each in administrator.devices()] == [[], []]


def test_devices_of_an_unfinished_operation_can_not_be_merged(
    administrator: Administrator,
    db: Database,
    ids: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operations.storing, "SMALL", 0)
    arguments = {"reason": None, "until": None}
    operations.begin(db, "block", [ids[0]], arguments=arguments, actor="ann", now=LATER)
    response = merge(administrator)
    assert (response.status_code, response.get_json()["code"]) == (409, "conflict")


def test_aliases_follow_when_their_device_is_merged(
    client: FlaskClient, administrator: Administrator, token: str, register: Register
) -> None:
    first, second, third = (register(f"phone-{number}") for number in (1, 2, 3))
    merge(administrator, first, second)
    merged = merge(administrator, second, third).get_json()
    assert merged["aliases"] == ["phone-1", "phone-2"]
    seen = client.get(DEVICE, headers=as_device(token, "phone-1")).get_json()
    assert seen["id"] == third
    for former in (first, second):
        problem = administrator.request("GET", f"{DEVICES}/{former}").get_json()
        assert f"was merged into the device {third}" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"from": 1}, 409),
        ({"from": 3}, 404),
        ({"from": 2**60}, 422),
        ({}, 422),
        ({"from_id": 2}, 422),
        ({"from": 2, "to": 1}, 422),
    ],
)
@pytest.mark.database("sqlite")
def test_impossible_merge_is_refused(
    administrator: Administrator, ids: tuple[int, int], body: Any, status: int
) -> None:
    response = administrator.request("POST", f"{DEVICES}/1/merge", json=body)
    assert response.status_code == status
    assert len(administrator.devices()) == 2


@pytest.mark.database("sqlite")
def test_merge_into_an_impossible_id_finds_no_device(
    administrator: Administrator, ids: tuple[int, int]
) -> None:
    assert merge(administrator, ids[0], 10**30).status_code == 404


@pytest.mark.parametrize(
    "described",
    [
        [{"tags": [f"{which}{number}" for number in range(26)]} for which in "ab"],
        [{"note": which * 5_000} for which in "ab"],
    ],
)
@pytest.mark.database("sqlite")
def test_merge_that_would_exceed_a_limit_changes_nothing(
    administrator: Administrator, ids: tuple[int, int], described: Any
) -> None:
    for device_id, values in zip(ids, described, strict=True):
        administrator.request("PATCH", f"{DEVICES}/{device_id}", json=values)
    before = administrator.devices()
    assert merge(administrator).status_code == 409
    assert administrator.devices() == before


def test_merge_needs_the_state_that_the_client_has_seen(
    administrator: Administrator, ids: tuple[int, int]
) -> None:
    path = f"{DEVICES}/{ids[1]}"
    seen = administrator.request("GET", path).headers["ETag"]
    administrator.rename("Kitchen", NEW)
    assert merge(administrator, if_match=seen).status_code == 412
    seen = administrator.request("GET", path).headers["ETag"]
    assert merge(administrator, if_match=seen).status_code == 200


# --- finding and deleting ---------------------------------------------------------------------


def test_search_finds_the_device_by_an_alias_and_after_a_rename(
    administrator: Administrator, db: Database, ids: tuple[int, int]
) -> None:
    merge(administrator)
    assert found(db, "one-old") == found(db, "one-new") == {NEW}
    administrator.rename("Kitchen", NEW)
    assert found(db, "one-old") == found(db, "itch") == {NEW}


def test_deletion_frees_the_aliases(
    client: FlaskClient, administrator: Administrator, token: str, ids: tuple[int, int]
) -> None:
    administrator.rename("Kitchen", OLD)
    merge(administrator)
    administrator.request("DELETE", f"{DEVICES}/{ids[1]}")
    assert client.get(DEVICE, headers=as_device(token, OLD)).get_json()["identifier"] == OLD
    state_of(client.application).activity.flush()


def test_deletion_clears_what_the_log_says_about_merged_devices(
    administrator: Administrator, db: Database, register: Register
) -> None:
    first, second, third = (register(f"phone-{number}") for number in (1, 2, 3))
    administrator.rename("Kitchen", "phone-1")
    merge(administrator, first, second)
    merge(administrator, second, third)
    administrator.request("DELETE", f"{DEVICES}/{third}")
    stored = everything_stored(db)
    assert [text for text in ("Kitchen", "phone-") if text in stored] == []


@pytest.mark.parametrize("in_bulk", [False, True])
def test_deletion_can_keep_all_identifiers_blocked(
    client: FlaskClient,
    administrator: Administrator,
    token: str,
    ids: tuple[int, int],
    in_bulk: bool,
) -> None:
    merge(administrator)
    administrator.block(NEW)
    if in_bulk:
        body = {"ids": [ids[1]], "keep_block": True}
        administrator.request("POST", f"{DEVICES}/delete", json=body)
    else:
        administrator.request("DELETE", f"{DEVICES}/{ids[1]}?keep_block=true")
    for identifier in (OLD, NEW):
        assert client.get(DEVICE, headers=as_device(token, identifier)).status_code == 403
    [kept] = administrator.devices("?name=one-old")
    assert (kept["identifier"], kept["aliases"]) == (NEW, [OLD])
    assert kept["id"] not in ids


# --- removing an alias ------------------------------------------------------------------------


def test_removed_alias_registers_a_new_device(
    client: FlaskClient,
    administrator: Administrator,
    token: str,
    ids: tuple[int, int],
    db: Database,
) -> None:
    merge(administrator)
    path = f"{DEVICES}/{ids[1]}/unalias"
    response = administrator.request("POST", path, json={"identifier": OLD})
    assert (response.status_code, response.get_json()["aliases"]) == (200, [])
    entry = administrator.history(NEW)[0]
    assert (entry["kind"], entry["alias"]) == ("alias_removed", OLD)
    assert found(db, "one-old") == set()
    assert client.get(DEVICE, headers=as_device(token, OLD)).get_json()["id"] not in ids
    assert administrator.request("POST", path, json={"identifier": OLD}).status_code == 404


def test_alias_of_a_blocked_device_can_not_be_removed(
    client: FlaskClient, administrator: Administrator, token: str, ids: tuple[int, int]
) -> None:
    merge(administrator)
    administrator.block(NEW)
    path = f"{DEVICES}/{ids[1]}/unalias"
    problem = administrator.request("POST", path, json={"identifier": OLD}).get_json()
    assert (problem["status"], problem["code"]) == (409, "conflict")
    assert client.get(DEVICE, headers=as_device(token, OLD)).status_code == 403


# --- other parts of the application -----------------------------------------------------------


def test_activity_that_waited_during_the_merge_is_written_for_the_device(
    client: FlaskClient,
    administrator: Administrator,
    token: str,
    ids: tuple[int, int],
    db: Database,
) -> None:
    assert client.post(UPLOADS, headers=as_device(token, OLD), json=1).status_code == 201
    arguments: Any = {"moves": state_of(client.application).moves, "actor": "ann", "now": LATER}
    merged = devices.merge(db, *ids, **arguments)
    assert merged.activity.last_upload_at is None  # it is still in the buffer
    activity = state_of(client.application).activity
    activity.flush()
    activity.flush()
    device = devices.get(db, ids[1])
    assert device.activity.last_upload_at is not None
    assert {use.token.name for use in devices.tokens_used(db, ids[1])} == {"registration", "test"}


def test_receivers_get_both_devices(app: Flask, db: Database, ids: tuple[int, int]) -> None:
    sent = []

    def remember(_sender: Flask, device: Device, merged: Device) -> None:
        sent.append((device.identifier, device.aliases, merged.identifier))

    with app.app_context(), signals.device_merged.connected_to(remember):
        devices.merge(db, *ids, moves=(), actor="ann", now=LATER)
    assert sent == [(NEW, [OLD], OLD)]


def test_log_says_which_device_was_merged(
    administrator: Administrator, db: Database, ids: tuple[int, int]
) -> None:
    administrator.rename("Kitchen", OLD)
    merge(administrator)
    filters = audit.LogFilters(action="device.merged"), audit.LogFilters(action="device.renamed")
    entries = [audit.latest(db, 1, each)[0] for each in filters]
    names = audit.names(db, entries)
    texts = ["".join(part.text for part in audit.sentence(entry, names)) for entry in entries]
    assert texts == [
        f"token administrator merged a device into Kitchen: {OLD} (“Kitchen”)",
        f"token administrator renamed {OLD} to “Kitchen”",
    ]


def test_filters_of_a_bulk_change_do_not_find_merged_devices(
    administrator: Administrator, db: Database, ids: tuple[int, int]
) -> None:
    merge(administrator)
    blocked = devices.block_all(
        db, Matching(Filters(name="phone"), 1), reason=None, actor="ann", now=LATER
    )
    assert blocked == [ids[1]]


@pytest.mark.parametrize("is_late", [False, True], ids=["written", "buffered"])
def test_daily_counts_of_both_devices_are_added_up(
    client: FlaskClient, db: Database, ids: tuple[int, int], token: str, is_late: bool
) -> None:
    state = state_of(client.application)
    token_id = tokens.find(db, "test").id
    for device_id in ids:
        state.activity.record_request(device_id, token_id, LATER, upload=True)
        state.activity.record_denial(device_id, LATER, token_id, "192.0.2.1")
    if not is_late:
        state.activity.flush(counts=True)
    devices.merge(db, *ids, moves=(), actor="ann", now=LATER)
    state.activity.flush(counts=True)
    state.activity.flush()
    today = devices.activity_days(db, ids[1], LATER)[-1]
    assert (today.requests, today.uploads, today.denied) == (2, 2, 2)
    assert devices.get(db, ids[1]).activity.denied_count == 2


def test_marks_of_the_merged_device_move(
    administrator: Administrator, register: Register, ids: tuple[int, int]
) -> None:
    for minutes, model in enumerate("XYXY"):
        register(OLD, NOON + timedelta(minutes=minutes), model=model)
    assert administrator.device(OLD)["shared"]
    merge(administrator)
    assert administrator.device(NEW)["shared"]
