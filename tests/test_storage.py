"""What is kept, for how long, and how much space it takes."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from apidevices import clock, devices, upkeep
from apidevices.database import Database
from apidevices.standalone import housekeeping, uploads
from tests.command_line import Cli
from tests.conftest import Administrator, MakeApp, Register

YEARS = timedelta(days=3 * 365)


def parts(storage: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {kept["name"]: kept for kept in storage["kept"]}


def test_storage_names_what_is_kept_with_its_setting_room_and_what_is_due(
    app: Flask, db: Database, register: Register
) -> None:
    now = clock.now()
    for number in range(3):
        device_id = register(f"phone-{number}", now - (YEARS if number else timedelta()))
        uploads.store(db, b"[]", device_id=device_id, token_id=1, now=now - number * YEARS)
    storage = Cli(app).json("storage")
    found = parts(storage)
    assert found["devices"]["rows"] == 3
    assert (found["devices"]["days"], found["devices"]["setting"]) == (None, None)
    assert found["history"] | {"bytes": 0} == {
        "name": "history",
        "description": "History",
        "setting": "APIDEVICES_KEEP_HISTORY_DAYS",
        "days": 730,
        "rows": 3,
        "bytes": 0,
        "due": 2,
        "by_device": False,
    }
    uploaded = found["uploads"]
    assert (uploaded["setting"], uploaded["rows"]) == ("APIDEVICES_KEEP_UPLOADS_DAYS", 3)
    assert uploaded["due"] == 2
    assert all(found[name]["bytes"] > 0 for name in ("devices", "history", "uploads", "other"))
    assert sum(each["bytes"] for each in found.values()) <= storage["total_bytes"]
    Cli(app).succeed("prune")
    pruned = parts(Cli(app).json("storage"))
    assert (pruned["history"]["rows"], pruned["history"]["due"]) == (1, 0)


def test_storage_says_how_many_devices_the_stale_rule_would_archive(
    make_app: MakeApp, db: Database, register: Register
) -> None:
    for number in range(3):
        register(f"phone-{number}", clock.now() - timedelta(days=20 * number))
    devices.archive(db, 3, actor="ann", now=clock.now())
    storage = Cli(make_app(APIDEVICES_ARCHIVE_DAYS="10")).json("storage")
    assert (storage["archive_days"], storage["archived"], storage["stale"]) == (10, 1, 1)
    assert Cli(make_app(APIDEVICES_ARCHIVE_DAYS="0")).json("storage")["stale"] == 0


def test_storage_says_when_housekeeping_last_ran(app: Flask, db: Database) -> None:
    assert Cli(app).json("storage")["last_run_at"] is None
    before = upkeep.database_time(db)
    housekeeping.of(app).run()
    last = Cli(app).json("storage")["last_run_at"]
    assert (
        abs(before - clock.parse(last)) < timedelta(seconds=10) if hasattr(clock, "parse") else last
    )


@pytest.mark.database("sqlite")
def test_api_returns_the_same_figures_to_tokens_that_may_read(
    app: Flask, administrator: Administrator, register: Register
) -> None:
    register("phone-1")
    response = administrator.request("GET", "/api/v1/storage")
    assert response.status_code == 200
    assert parts(response.json or {})["devices"]["rows"] == 1
    assert administrator.request("GET", "/api/v1/storage?x=1").status_code == 422


@pytest.mark.database("sqlite")
def test_command_prints_a_table(app: Flask, register: Register) -> None:
    register("phone-1")
    printed = Cli(app).succeed("storage")
    assert "APIDEVICES_KEEP_AUDIT_DAYS" in printed
    _, _, fields = printed.partition("\n\n")
    assert fields.startswith("Size of the database ")
    assert "Archived devices" in fields
