"""The history of a device: what administrators did, and when tokens were first used."""

import csv
import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask

from apidevices import devices, export, operations, tokens
from apidevices.database import Database
from apidevices.devices import HistoryCursor
from apidevices.listing import Filters
from apidevices.models import DeviceHistory, DeviceToken
from tests.command_line import Cli
from tests.conftest import DEVICES, NOON, Administrator, Register, state_of

HOUR = timedelta(hours=1)


@pytest.fixture
def phone(register: Register) -> int:
    return register("phone-1", at=NOON - 10 * HOUR, os="iOS")


@pytest.fixture
def use_token(db: Database, phone: int) -> Callable[[str, int], int]:
    """Lets the device use a new token, some hours after noon, and returns the id of the token."""

    def use(name: str, hours: int) -> int:
        token, _ = tokens.issue(db, name, actor="ann", now=NOON)
        at = NOON + hours * HOUR
        with db.write() as session:
            session.add(
                DeviceToken(device_id=phone, token_id=token.id, first_used_at=at, last_used_at=at)
            )
        return token.id

    return use


def test_history_has_what_administrators_did(db: Database, phone: int) -> None:
    change: dict[str, Any] = {"actor": "ann", "now": NOON}
    devices.rename(db, phone, "Door", **change)
    devices.tag(db, phone, ["Gate", "Hall"], **change)
    devices.untag(db, phone, ["Hall"], **change)
    devices.annotate(db, phone, "Borrowed", **change)
    devices.describe(db, phone, name="Door", tags=["gate"], note="Borrowed", **change)
    found = [
        (entry.kind, entry.changes.get("name"), entry.tags, entry.actor)
        for entry in devices.history(db, phone)
    ]
    assert found == [
        ("annotated", None, [], "ann"),
        ("untagged", None, ["Hall"], "ann"),
        ("tagged", None, ["Gate", "Hall"], "ann"),
        ("renamed", [None, "Door"], [], "ann"),
        ("registered", None, [], None),
    ]


def test_history_has_tags_that_were_changed_with_other_devices_and_undone(
    db: Database, phone: int, register: Register
) -> None:
    other = register("phone-2")
    devices.tag(db, other, ["Gate"], actor="bob", now=NOON)
    chosen = devices.Matching(Filters(name="phone"), None)
    devices.tag_all(db, chosen, ["Gate", "Hall"], actor="ann", now=NOON)
    devices.untag_all(db, chosen, ["Hall"], actor="ann", now=NOON)
    added = partial(devices.tag, db, phone, ["Foyer"])
    operations.record(db, "tag", added, actor="ann", now=NOON)
    renamed = partial(devices.rename, db, phone, "Door")
    operations.record(db, "rename", renamed, actor="ann", now=NOON)
    for operation_id in (1, 2):
        operations.undo(db, operation_id, actor="ann", now=NOON)

    def entries(device_id: int) -> list[object]:
        found = devices.history(db, device_id, kinds=["tagged", "untagged", "renamed"])
        return [(entry.kind, entry.tags or entry.changes["name"]) for entry in found]

    assert entries(other) == [
        ("untagged", ["Hall"]),
        ("tagged", ["Hall"]),
        ("tagged", ["Gate"]),
    ]
    assert entries(phone) == [
        ("renamed", ["Door", None]),
        ("untagged", ["Foyer"]),
        ("renamed", [None, "Door"]),
        ("tagged", ["Foyer"]),
        ("untagged", ["Hall"]),
        ("tagged", ["Gate", "Hall"]),
    ]


def test_first_use_of_tokens_is_merged_by_time(
    db: Database, phone: int, use_token: Callable[[str, int], int]
) -> None:
    early = use_token("early", 1)
    devices.rename(db, phone, "Door", actor="ann", now=NOON + 2 * HOUR)
    late = [use_token(f"late {number}", 3) for number in range(3)]
    devices.rename(db, phone, "Gate", actor="ann", now=NOON + 4 * HOUR)
    expected = ["renamed", *[-id_ for id_ in reversed(late)], "renamed", -early, "registered"]

    def shown(entries: list[DeviceHistory]) -> list[object]:
        return [entry.id if entry.kind == "token_first_used" else entry.kind for entry in entries]

    assert shown(list(devices.history(db, phone))) == expected
    for limit in range(1, 8):
        pages: list[DeviceHistory] = []
        cursor = None
        while True:
            page, cursor = devices.history_page(db, phone, cursor, limit=limit)
            assert len(page) <= limit
            pages += page
            if cursor is None:
                break
            cursor = HistoryCursor.parse(str(cursor))
        assert shown(pages) == expected, limit
    first = devices.history(db, phone)[0].id
    assert shown(list(devices.history_page(db, phone, HistoryCursor(first))[0])) == expected[1:]


def test_api_command_and_downloads_have_the_kinds(
    app: Flask,
    administrator: Administrator,
    db: Database,
    phone: int,
    use_token: Callable[[str, int], int],
) -> None:
    token = use_token("scanner", 1)
    devices.block(db, phone, reason="=1+1", actor="ann", now=NOON + 2 * HOUR)
    devices.describe(db, phone, name="Door", tags=["Gate"], actor="ann", now=NOON + 3 * HOUR)
    path = f"{DEVICES}/{phone}/history"
    history = administrator.history()
    assert [entry["kind"] for entry in history] == [
        *("tagged", "renamed", "blocked", "token_first_used", "registered")
    ]
    assert (history[0]["tags"], history[0]["details"]) == (["Gate"], None)
    assert history[1]["changes"] == {"name": {"old": None, "new": "Door"}}
    assert history[2]["details"] == {"reason": "=1+1", "until": None}
    assert (history[3]["id"], history[3]["token"]["name"]) == (-token, "scanner")
    found = administrator.request("GET", f"{path}?kind=tagged&kind=blocked").get_json()
    assert [entry["kind"] for entry in found["history"]] == ["tagged", "blocked"]
    for query in ("kind=x", "cursor=x", "cursor=1.2", f"cursor={'9' * 19}"):
        assert administrator.request("GET", f"{path}?{query}").status_code == 422, query

    cli = Cli(app)
    assert cli.json("history", "phone-1") == history
    assert "name: Door" in cli.succeed("history", "phone-1", "--kind", "renamed")


def test_download_of_a_history_is_complete_and_runs_no_formula(db: Database, phone: int) -> None:
    devices.block(db, phone, reason="=1+1", actor="ann", now=NOON)
    text = "".join(export.run_history(db, phone, "csv", actor="bob", now=NOON))
    blocked, registered = csv.DictReader(text.removeprefix("\ufeff").splitlines())
    assert (blocked["kind"], blocked["reason"], blocked["actor"]) == ("blocked", "'=1+1", "ann")
    assert (registered["changes"], registered["token"]) == ("os:  → iOS", "registration")
    chunks = export.run_history(db, phone, "json", kinds=["blocked"], actor="bob", now=NOON)
    [entry] = json.loads("".join(chunks))
    assert entry["details"]["reason"] == "=1+1"


@pytest.fixture
def deny(app: Flask, phone: int) -> Callable[..., None]:
    """Denies requests of the device at some hours after noon."""

    def record(*hours: float, token_id: int | None = None, address: str = "192.0.2.7") -> None:
        for each in hours:
            state_of(app).activity.record_denial(phone, NOON + each * HOUR, token_id, address)
        state_of(app).activity.flush()

    return record


def test_denied_requests_of_a_day_are_one_entry_at_the_time_of_the_last(
    app: Flask,
    administrator: Administrator,
    db: Database,
    phone: int,
    use_token: Callable[[str, int], int],
    deny: Callable[..., None],
) -> None:
    token = use_token("scanner", -9)
    devices.block(db, phone, actor="ann", now=NOON)
    deny(1, 2, 5, token_id=token)
    devices.unblock(db, phone, actor="ann", now=NOON + 6 * HOUR)
    deny(-24)
    history = administrator.history()
    kinds = ["unblocked", "denied", "blocked", "token_first_used", "registered", "denied"]
    assert [entry["kind"] for entry in history] == kinds
    entry = history[1]
    assert (entry["id"], entry["at"]) == (-20300517, "2030-05-17T17:00:00.000000Z")
    assert entry["denied"] == {"count": 3, "first_at": "2030-05-17T13:00:00.000000Z"}
    assert (entry["token"]["name"], entry["address"]) == ("scanner", "192.0.2.7")
    assert (entry["details"], entry["actor"], history[0]["denied"]) == (None, None, None)
    path = f"{DEVICES}/{phone}/history?kind=denied&kind=unblocked"
    found = administrator.request("GET", path).get_json()["history"]
    assert [entry["kind"] for entry in found] == ["unblocked", "denied", "denied"]

    cli = Cli(app)
    assert cli.json("history", "phone-1", "--kind", "denied") == [history[1], history[5]]
    assert "requests: 3" in cli.succeed("history", "phone-1")
    text = "".join(export.run_history(db, phone, "csv", actor="bob", now=NOON))
    rows = list(csv.DictReader(text.removeprefix("\ufeff").splitlines()))
    assert [row["denied"] for row in rows] == ["", "3", "", "", "", "1"]
    assert rows[1]["first_denied_at"] == "2030-05-17T13:00:00.000000Z"


def test_pages_with_denied_requests_are_complete(
    db: Database, phone: int, use_token: Callable[[str, int], int], deny: Callable[..., None]
) -> None:
    deny(*range(-24 * 5, 24 * 5, 24))
    token = use_token("at the same time", 24)
    use_token("later", 25)
    devices.rename(db, phone, "Door", actor="ann", now=NOON)
    expected = [(entry.kind, entry.id) for entry in devices.history(db, phone)]
    assert len(expected) == len(set(expected)) == 14
    assert expected.index(("denied", -20300518)) + 1 == expected.index(("token_first_used", -token))
    for limit in range(1, 6):
        pages: list[DeviceHistory] = []
        cursor: HistoryCursor | None = None
        while cursor is not None or not pages:
            page, cursor = devices.history_page(db, phone, cursor, limit=limit)
            pages += page
        assert [(entry.kind, entry.id) for entry in pages] == expected, limit
