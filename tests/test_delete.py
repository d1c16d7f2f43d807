"""Delete devices: what goes, what stays, and requests that are under way."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text

from apidevices import devices, signals
from apidevices.database import Database
from apidevices.devices import Matching, reporting
from apidevices.listing import Filters, search
from apidevices.models import (
    AuditEntry,
    Device,
    DeviceActivity,
    DeviceHistory,
    DeviceTag,
    DeviceToken,
)
from apidevices.standalone import client_api
from apidevices.standalone.models import Upload
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


def rows_about_devices(db: Database) -> dict[str, int]:
    with db.read() as session:
        models = [Device, DeviceActivity, DeviceHistory, DeviceTag, DeviceToken, Upload]
        return {
            model.__tablename__: session.scalar(select(func.count()).select_from(model)) or 0
            for model in models
        }


def test_delete_removes_every_trace_but_the_audit_log(
    client: FlaskClient, administrator: Administrator, db: Database, token: str
) -> None:
    assert client.post(UPLOADS, headers=as_device(token), json={}).status_code == 201
    administrator.rename("Door")
    devices.tag(db, administrator.device()["id"], ["Team A"], actor="ann", now=NOON)
    before = rows_about_devices(db)
    assert len(before) == 6
    assert set(before.values()) == {1}
    assert delete(administrator) == 204
    assert set(rows_about_devices(db).values()) == {0}
    assert found(db, "phone") == found(db, "door") == found(db, "ph") == set()
    with db.read() as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert entry is not None
    assert (entry.action, entry.actor) == ("device.deleted", "token administrator")
    assert entry.details == {"identifier": "phone-1", "name": "Door"}


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
