"""Archived devices: what leaves them out, and what brings them back."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import audit, clock, devices, listing
from apidevices.database import Database
from apidevices.devices import Matching
from apidevices.listing import Filters
from apidevices.upkeep import tasks
from tests.command_line import Cli
from tests.conftest import (
    DEVICE,
    DEVICES,
    NOON,
    Administrator,
    MakeApp,
    Register,
    as_device,
    state_of,
)

DAY = timedelta(days=1)


@pytest.fixture
def cli(app: Flask) -> Cli:
    return Cli(app)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The present time."""
    monkeypatch.setattr(tasks, "PAUSE", 0)
    return clock.now()


@pytest.fixture
def fleet(db: Database, register: Register, now: datetime) -> dict[str, int]:
    """The ids of an active device, and of an inactive one that is blocked and one that isn't."""
    ages = {"busy": timedelta(days=9), "old": timedelta(days=11), "stolen": timedelta(days=12)}
    ids = {identifier: register(identifier, now - age) for identifier, age in ages.items()}
    devices.block(db, ids["stolen"], reason="Stolen", actor="ann", now=now - 11 * DAY)
    return ids


def found(administrator: Administrator, query: str = "") -> set[str]:
    return {device["identifier"] for device in administrator.devices(query)}


def archived_by(db: Database) -> list[tuple[str, dict[str, Any]]]:
    """Return who has archived devices, by the audit log, with the details."""
    actions = {audit.Action.DEVICE_ARCHIVED, audit.Action.DEVICES_ARCHIVED}
    entries = audit.latest(db, 100)
    return [(entry.actor, entry.details) for entry in entries if entry.action in actions]


# --- the list ----------------------------------------------------------------------------------


def test_lists_show_either_archived_devices_or_all_others(
    db: Database, administrator: Administrator, fleet: dict[str, int]
) -> None:
    for identifier in ("old", "stolen"):
        devices.archive(db, fleet[identifier], actor="ann", now=NOON)
    assert found(administrator) == {"busy"}
    assert found(administrator, "?archived=1") == {"old", "stolen"}
    assert found(administrator, "?archived=1&status=blocked&sort=name") == {"stolen"}
    assert found(administrator, "?status=blocked") == set()
    [old] = [each for each in administrator.devices("?archived=1&status=active")]
    assert (old["identifier"], old["archived_at"]) == ("old", "2030-05-17T12:00:00.000000Z")


def test_change_of_all_that_match_leaves_archived_devices_out(
    db: Database, administrator: Administrator, fleet: dict[str, int]
) -> None:
    devices.archive(db, fleet["old"], actor="ann", now=NOON)
    devices.block_all(db, Matching(Filters(), 2), reason=None, actor="ann", now=NOON)
    assert administrator.devices("?archived=1")[0]["status"] == "active"


def test_choices_of_filters_are_those_of_archived_devices_or_of_all_others(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing.limits, "CHOICES_PATIENCE", 30)
    register("phone-1", model="iPad")
    devices.tag(db, register("phone-2", model="Pixel 8"), ["VIP"], actor="ann", now=NOON)
    devices.archive(db, 2, actor="ann", now=NOON)
    assert listing.choices(db).model == [("iPad", 1)]
    assert listing.choices(db).tag == []
    assert listing.choices(db, archived=True).model == [("Pixel 8", 1)]
    assert listing.choices(db, archived=True).tag == [("VIP", 1)]


def test_archived_devices_are_counted_on_their_own(db: Database, fleet: dict[str, int]) -> None:
    devices.archive(db, fleet["stolen"], actor="ann", now=NOON)
    assert devices.count_by_status(db) == {"active": 2, "blocked": 0, "archived": 1}


# --- coming back -------------------------------------------------------------------------------


def test_request_brings_a_device_back(
    db: Database, client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    devices.archive(db, administrator.device()["id"], actor="ann", now=clock.now())
    assert found(administrator) == set()
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200
    assert administrator.device()["archived_at"] is None
    names = [device.identifier for device in listing.page(db, Filters(), sort="name").devices]
    assert names == ["phone-1"]


def test_denied_request_brings_a_device_back_but_not_its_access(
    db: Database, client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    device_id = administrator.device()["id"]
    administrator.block(reason="Stolen")
    devices.archive(db, device_id, actor="ann", now=clock.now())
    assert found(administrator) == set()
    assert client.get(DEVICE, headers=as_device(token)).status_code == 403
    device = administrator.device()
    assert (device["status"], device["block_reason"]) == ("blocked", "Stolen")
    assert device["archived_at"] is None


# --- the stale rule ----------------------------------------------------------------------------


def test_prune_archives_inactive_devices_and_keeps_their_blocks(
    db: Database, cli: Cli, administrator: Administrator, fleet: dict[str, int]
) -> None:
    assert cli.succeed("prune", "--inactive-days", "10", "--dry-run").split()[-1] == "2"
    assert found(administrator) == {"busy", "old", "stolen"}
    assert cli.succeed("prune", "--inactive-days", "10").split()[-1] == "2"
    archived = administrator.devices("?archived=1")
    assert {(each["identifier"], each["block_reason"]) for each in archived} == {
        ("old", None),
        ("stolen", "Stolen"),
    }
    entry = devices.history(db, fleet["old"])[0]
    assert (entry.kind, entry.actor) == ("archived", "the command line")
    details = {"number": 2, "filter": {"inactive_days": 10}}
    assert archived_by(db) == [("the command line", details)]
    assert cli.succeed("prune", "--inactive-days", "10").split()[-1] == "0"


def test_stale_rule_archives_after_the_days_of_the_setting(
    make_app: MakeApp, db: Database, fleet: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "BATCH", 1)
    Cli(make_app()).succeed("prune")
    assert archived_by(db) == []
    Cli(make_app(APIDEVICES_ARCHIVE_DAYS="10")).succeed("prune")
    assert devices.count_by_status(db)["archived"] == 2
    [(actor, details)] = archived_by(db)
    assert (actor, details["number"]) == ("the stale rule", 2)


@pytest.mark.database("sqlite")
def test_commands_say_that_the_stale_rule_is_off(cli: Cli) -> None:
    printed = cli.succeed("prune", "--dry-run") + cli.succeed("storage")
    rows = {row[0]: row[1:] for row in (re.split("  +", line) for line in printed.splitlines())}
    assert rows["Archive inactive devices"] == ["off"]
    assert rows["To be archived"] == ["none, the rule is off"]


def test_blocked_device_that_keeps_trying_is_not_archived(
    app: Flask, db: Database, cli: Cli, fleet: dict[str, int], now: datetime
) -> None:
    buffer = state_of(app).activity
    buffer.record_denial(fleet["stolen"], now)
    buffer.flush()
    cli.succeed("prune", "--inactive-days", "10")
    assert devices.get(db, fleet["stolen"]).activity.archived_at is None


def test_device_that_becomes_active_during_a_run_stays(
    app: Flask,
    cli: Cli,
    administrator: Administrator,
    fleet: dict[str, int],
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    buffer, find = state_of(app).activity, tasks._find

    def find_then_flush(*arguments: Any) -> list[int]:
        due = find(*arguments)
        buffer.record_request(fleet["old"], None, now, upload=False)
        buffer.flush()
        return due

    monkeypatch.setattr(tasks, "_find", find_then_flush)
    cli.succeed("prune", "--inactive-days", "10")
    assert found(administrator) == {"busy", "old"}


def test_interrupted_run_has_recorded_what_it_archived(
    db: Database, cli: Cli, fleet: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "BATCH", 1)
    rows = tasks._rows

    def fail_at_the_second(task: Any, keys: Any, now: datetime) -> Any:
        monkeypatch.setattr(tasks, "_rows", lambda *_: 1 / 0)
        return rows(task, keys, now)

    monkeypatch.setattr(tasks, "_rows", fail_at_the_second)
    assert cli.run("prune", "--inactive-days", "10").exit_code == 1
    assert devices.count_by_status(db)["archived"] == 1
    [(_, details)] = archived_by(db)
    assert details["number"] == 1


# --- by hand -----------------------------------------------------------------------------------


def test_api_archives_and_unarchives_devices_by_id_and_by_filter(
    administrator: Administrator, fleet: dict[str, int]
) -> None:
    def change(action: str, **body: Any) -> Any:
        response = administrator.request("POST", f"{DEVICES}/{action}", json=body)
        return response.status_code, response.get_json(force=True)

    ids = sorted([fleet["old"], fleet["busy"]])
    chosen = [*ids, 99]
    assert change("archive", ids=chosen) == (200, {"archived": ids, "not_found": [99]})
    assert change("archive", ids=chosen) == (200, {"archived": ids, "not_found": [99]})
    assert found(administrator) == {"stolen"}
    kinds = [entry["kind"] for entry in administrator.history("stolen")]
    assert "archived" not in kinds
    matching = {"filter": {"archived": True, "name": "old"}, "expected": 2}
    assert change("unarchive", **matching)[0] == 409
    assert change("unarchive", **{**matching, "expected": 1}) == (
        200,
        {"unarchived": [fleet["old"]], "not_found": []},
    )
    assert found(administrator) == {"stolen", "old"}
    history = [entry["kind"] for entry in administrator.history("old")]
    assert history[:2] == ["unarchived", "archived"]


def test_commands_archive_and_unarchive_one_device_or_all_that_match(
    cli: Cli, fleet: dict[str, int]
) -> None:
    assert cli.succeed("archive", "old") == "old is archived\n"
    assert cli.succeed("archive", "--status", "blocked", "--yes") == "1 device has been archived\n"
    archived = [each["identifier"] for each in cli.json("list", "--archived", "--sort", "name")]
    assert archived == ["old", "stolen"]
    assert cli.json("show", "old")["archived_at"] is not None
    assert cli.succeed("unarchive", "old") == "old is not archived\n"
    restored = cli.succeed("unarchive", "--archived", "--expected", "1")
    assert restored == "1 device has been unarchived\n"
    assert len(cli.json("list")) == 3
