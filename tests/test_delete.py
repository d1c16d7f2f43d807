"""Delete devices: what goes, what stays, and requests that are under way."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text, update

from apidevices import devices, signals
from apidevices.database import Database
from apidevices.devices import Matching, reporting
from apidevices.listing import Filters, search
from apidevices.models import Base, Device, DeviceActivity, DeviceDenials
from apidevices.standalone import client_api
from tests.conftest import (
    DEVICE,
    DEVICES,
    NOON,
    UPLOADS,
    Administrator,
    Register,
    as_device,
    state_of,
)
from tests.listing.conftest import found


def delete(administrator: Administrator, identifier: str = "phone-1", **options: Any) -> int:
    device_id = administrator.device(identifier)["id"]
    return administrator.request("DELETE", f"{DEVICES}/{device_id}", **options).status_code


def everything_stored(db: Database) -> str:
    """Return the contents of all tables as text, with one line per row."""
    with db.read() as session:
        tables = sorted(Base.metadata.tables)
        rows = (
            f"{table}: {row}"
            for table in tables
            for row in session.execute(
                text(f'SELECT * FROM "{table}"')  # noqa: S608 - the names of our own tables
            )
        )
        return "\n".join(rows)


PERSONAL = (
    "phone-1", "anna", "red mi", "sim card", "left at the door", "lost it", "127.0.0.1", "spare",
)  # fmt: skip


@pytest.fixture
def known(client: FlaskClient, administrator: Administrator, db: Database, token: str) -> int:
    """A blocked device about which everything is stored that can be; return its id."""
    headers = as_device(token, model="Red Mi")
    assert client.post(UPLOADS, headers=headers, json={"about": "SIM card"}).status_code == 201
    device_id: int = administrator.device()["id"]
    described = {"name": "Anna", "note": "Left at the door", "tags": ["Spare"]}
    administrator.request("PATCH", f"{DEVICES}/{device_id}", json=described)
    administrator.block(reason="Anna lost it")
    assert client.get(DEVICE, headers=headers).status_code == 403
    stored = everything_stored(db).lower() if administrator.device() else ""
    assert [word for word in PERSONAL if word not in stored] == []
    return device_id


def test_delete_removes_everything_that_is_stored_about_a_device(
    administrator: Administrator, db: Database, known: int
) -> None:
    assert delete(administrator) == 204
    stored = everything_stored(db).lower()
    assert [word for word in PERSONAL if word in stored] == []
    assert f"device:{known}" in stored  # in the audit log
    assert found(db, "phone") == found(db, "anna") == found(db, "ph") == set()


def test_delete_can_keep_the_block_and_nothing_else(
    client: FlaskClient, administrator: Administrator, db: Database, known: int, token: str
) -> None:
    device = administrator.device()
    path = f"{DEVICES}/{known}?keep_block=true"
    assert administrator.request("DELETE", path).status_code == 204
    assert client.get(DEVICE, headers=as_device(token, model="Red Mi")).status_code == 403
    state_of(client.application).activity.close()
    with db.write() as session:
        session.execute(update(DeviceActivity).values(last_denied_address=None))
        session.execute(update(DeviceDenials).values(address=None))
    stored = everything_stored(db).lower()
    assert {word for word in PERSONAL if word in stored} == {"phone-1", "anna", "lost it"}
    kept = administrator.device()
    block = ("blocked_at", "blocked_by", "block_reason", "blocked_until", "identifier", "status")
    assert {key: kept[key] for key in block} == {key: device[key] for key in block}
    assert (kept["display_name"], kept["model"]) == ("phone-1", None)
    assert kept["first_seen_at"] == kept["last_active_at"] == kept["blocked_at"]
    assert kept["id"] != known
    assert [entry["kind"] for entry in administrator.history()] == ["denied"]
    assert found(db, "phone") == {"phone-1"}


def test_bulk_deletion_keeps_only_blocked_devices(
    administrator: Administrator, register: Register
) -> None:
    ids = [register(f"phone-{number}") for number in range(3)]
    administrator.block("phone-0")
    administrator.block("phone-2")
    body = {"ids": ids, "keep_block": True}
    response = administrator.request("POST", f"{DEVICES}/delete", json=body)
    assert response.get_json() == {"deleted": ids, "not_found": []}
    kept = [(each["identifier"], each["status"]) for each in administrator.devices()]
    assert sorted(kept) == [("phone-0", "blocked"), ("phone-2", "blocked")]


def test_deleted_device_gets_404_and_can_not_be_deleted_again(
    administrator: Administrator, register: Register
) -> None:
    path = f"{DEVICES}/{register('phone-1')}"
    assert delete(administrator) == 204
    for method in ("GET", "DELETE"):
        response = administrator.request(method, path)
        assert (response.status_code, response.get_json()["code"]) == (404, "not_found")


def test_delete_with_outdated_etag_gets_412(
    administrator: Administrator, register: Register
) -> None:
    path = f"{DEVICES}/{register('phone-1')}"
    outdated = administrator.request("GET", path).headers["ETag"]
    administrator.rename("Door")
    assert delete(administrator, if_match=outdated) == 412
    assert delete(administrator, if_match=administrator.request("GET", path).headers["ETag"]) == 204


def test_blocked_device_registers_again_after_its_deletion(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    administrator.block()
    assert client.get(DEVICE, headers=as_device(token)).status_code == 403
    assert delete(administrator) == 204
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200
    assert [entry["kind"] for entry in administrator.history()] == ["registered"]


def test_id_of_a_deleted_device_is_not_used_again(db: Database, register: Register) -> None:
    first, last = register("phone-1"), register("phone-2")
    for device_id in (first, last):
        devices.delete(db, device_id, actor="ann", now=NOON)
    assert register("phone-3") > last


def test_buffered_activity_of_a_deleted_device_is_dropped(
    app: Flask, client: FlaskClient, administrator: Administrator, db: Database, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    client.get(DEVICE, headers=as_device(token, "phone-2"))
    activity = state_of(app).activity
    device_id = administrator.device()["id"]
    client.get(DEVICE, headers=as_device(token))
    client.get(DEVICE, headers=as_device(token, "phone-2"))
    devices.delete(db, device_id, actor="ann", now=NOON)
    activity.flush()
    assert activity.load.entries == 0
    assert found(db) == {"phone-2"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_device_deleted_during_its_request_is_asked_to_try_again(
    client: FlaskClient,
    db: Database,
    token: str,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    calling_device = client_api._calling_device

    def delete_and_return() -> Any:
        caller = calling_device()
        devices.delete(db, caller[1], actor="ann", now=NOON)
        return caller

    path = DEVICE if method == "GET" else UPLOADS
    options: dict[str, Any] = {"headers": as_device(token)}
    if method == "POST":
        options["json"] = {}
    with monkeypatch.context() as patch:
        patch.setattr(client_api, "_calling_device", delete_and_return)
        response = client.open(path, method=method, **options)
    assert (response.status_code, response.get_json(force=True)["code"]) == (503, "unavailable")
    assert response.headers["Retry-After"]
    assert client.open(path, method=method, **options).status_code in (200, 201)


def test_device_deleted_while_it_registers_is_registered(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = reporting._register
    calls = 0

    def conflict_once(*arguments: Any) -> int | None:
        nonlocal calls
        calls += 1
        # As if another request had registered the device, before it was deleted.
        return None if calls == 1 else insert(*arguments)

    monkeypatch.setattr(reporting, "_register", conflict_once)
    assert register("phone-1")
    assert found(db) == {"phone-1"}


def test_deletion_sends_a_signal_for_each_device(
    app: Flask, db: Database, register: Register
) -> None:
    ids = [register(f"phone-{number}") for number in range(3)]
    received = []

    def receive(_: Flask, device: Device) -> None:
        received.append(device.identifier)

    with app.app_context(), signals.device_deleted.connected_to(receive, sender=app):
        devices.delete(db, ids[0], actor="ann", now=NOON)
        devices.delete_all(db, Matching(Filters(), None), actor="ann", now=NOON)
    assert received == ["phone-0", "phone-1", "phone-2"]


@pytest.mark.database("sqlite")
def test_search_index_is_cleaned_up_in_steps(
    db: Database, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "REMOVE_STEP", 2)
    for number in range(5):
        register(f"phone-{number}")
    devices.delete_all(db, Matching(Filters(), None), actor="ann", now=NOON)
    with db.read() as session:
        assert session.scalar(text("SELECT count(*) FROM apidevices_device_search_deleted")) == 0
        assert session.scalar(text("SELECT count(*) FROM apidevices_device_search_terms")) == 0
