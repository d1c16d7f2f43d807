"""An allowed request registers its device and records changed details and activity."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import tokens
from apidevices.database import Database
from tests.conftest import (
    DEVICE,
    METHODS,
    NOON,
    UPLOADS,
    Administrator,
    FakeClock,
    MakeApp,
    NewToken,
    as_device,
    on_the_wire,
    state_of,
)

# --- an unknown device ----------------------------------------------------------------------


def test_unknown_device_is_registered(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    details = {
        "application": "Box Office",
        "application_version": "6.1.0",
        "os": "Android",
        "os_version": "16",
        "manufacturer": "Samsung",
        "model": "Galaxy S24",
    }
    assert client.get(DEVICE, headers=as_device(token, **details)).status_code == 200
    device = administrator.device()
    assert {field: device[field] for field in details} == details
    [entry] = administrator.history()
    assert entry["kind"] == "registered"
    assert entry["changes"] == {
        field: {"old": None, "new": value} for field, value in details.items()
    }
    assert entry["token"]["name"] == "test"
    assert entry["address"] == "127.0.0.1"


def test_requests_to_unknown_paths_and_methods_register_devices(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get("/api/v1/no/such/path", headers=as_device(token))
    client.put(DEVICE, headers=as_device(token, "phone-2"))
    assert len(administrator.devices()) == 2


def test_device_is_registered_once(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    for _ in range(3):
        client.get(DEVICE, headers=as_device(token, model="iPhone 14"))
    assert len(administrator.devices()) == 1
    assert len(administrator.history()) == 1


# --- changed details ------------------------------------------------------------------------


def test_changed_details_write_one_history_entry(
    client: FlaskClient, administrator: Administrator, new_token: NewToken, fake_clock: FakeClock
) -> None:
    client.get(DEVICE, headers=as_device(new_token(), os="iOS", os_version="18", model="iPhone"))
    fake_clock.set(NOON)
    updated = as_device(new_token(name="second"), os="iOS", os_version="26", model="iPhone 14")
    client.get(DEVICE, headers=updated, environ_overrides={"REMOTE_ADDR": "198.51.100.7"})
    first_use, entry, _ = administrator.history()
    assert first_use["kind"] == "token_first_used"
    assert entry["kind"] == "changed"
    assert entry["at"] == "2030-05-17T12:00:00.000000Z"
    assert entry["changes"] == {
        "os_version": {"old": "18", "new": "26"},
        "model": {"old": "iPhone", "new": "iPhone 14"},
    }
    assert entry["token"]["name"] == "second"
    assert entry["address"] == "198.51.100.7"
    assert administrator.device()["os_version"] == "26"


def test_first_value_of_a_field_is_recorded_as_a_change(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    client.get(DEVICE, headers=as_device(token, model="iPhone 14"))
    assert administrator.history()[0]["changes"] == {"model": {"old": None, "new": "iPhone 14"}}


@pytest.mark.parametrize(
    "details",
    [
        pytest.param({}, id="missing"),
        pytest.param({"model": ""}, id="empty"),
        pytest.param({"model": "  "}, id="blank"),
        pytest.param({"model": "%00"}, id="only control characters"),
        pytest.param({"model": "iPhone  14 "}, id="same except whitespace"),
        pytest.param({"model": "iPhone%2014"}, id="same, percent-encoded"),
    ],
)
def test_empty_or_unchanged_details_change_nothing(
    client: FlaskClient, administrator: Administrator, token: str, details: dict[str, str]
) -> None:
    client.get(DEVICE, headers=as_device(token, model="iPhone 14", os="iOS"))
    client.get(DEVICE, headers=as_device(token, **details))
    device = administrator.device()
    assert (device["model"], device["os"]) == ("iPhone 14", "iOS")
    assert [entry["kind"] for entry in administrator.history()] == ["registered"]


def test_change_back_to_an_old_value_is_recorded(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    for version in ("1", "2", "1"):
        client.get(DEVICE, headers=as_device(token, application_version=version))
    changes = [entry["changes"]["application_version"] for entry in administrator.history()]
    assert changes == [
        {"old": "2", "new": "1"},
        {"old": "1", "new": "2"},
        {"old": None, "new": "1"},
    ]


def test_changed_details_keep_the_device_name(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token, os_version="18"))
    administrator.rename("Front desk")
    client.get(DEVICE, headers=as_device(token, os_version="26"))
    assert administrator.device()["name"] == "Front desk"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(on_the_wire("红米"), "红米", id="UTF-8"),
        pytest.param("%E7%BA%A2%E7%B1%B3", "红米", id="percent-encoded"),
        pytest.param("caf\xe9", "café", id="Latin-1"),
        pytest.param("x" * 300, "x" * 255, id="too long"),
        pytest.param("<script>alert(1)</script>", "<script>alert(1)</script>", id="HTML"),
        pytest.param("100%", "100%", id="percent sign"),
    ],
)
def test_details_are_decoded_and_cleaned(
    client: FlaskClient, token: str, sent: str, expected: str
) -> None:
    response = client.get(DEVICE, headers=as_device(token, model=sent))
    assert response.json is not None
    assert response.json["model"] == expected


def test_header_names_are_configurable(make_app: MakeApp) -> None:
    app = make_app(
        APIDEVICES_HEADER_IDENTIFIER="X-Installation-ID, X-Device-ID",
        APIDEVICES_HEADER_MODEL="X-Hardware",
    )
    _, token = tokens.issue(state_of(app).db, "test", actor="ann", now=NOON)
    client = app.test_client()

    def identified(**headers: str) -> tuple[str, str | None]:
        named = {f"X-{name.replace('_', '-')}": value for name, value in headers.items()}
        response = client.get(DEVICE, headers={"Authorization": f"Bearer {token}", **named})
        assert response.json is not None
        return response.json["identifier"], response.json["model"]

    assert identified(Installation_ID="a", Hardware="TC58") == ("a", "TC58")
    assert identified(Device_ID="b", Device_Model="ignored") == ("b", None)
    assert identified(Installation_ID="c", Device_ID="d") == ("c", None)
    assert identified(Installation_ID="", Device_ID="e") == ("e", None)


# --- activity -------------------------------------------------------------------------------


def times(device: dict[str, Any]) -> tuple[str, str | None, str]:
    return device["last_active_at"], device["last_upload_at"], device["last_activity_at"]


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("method", METHODS)
def test_every_method_counts_as_activity_but_only_post_as_upload(
    client: FlaskClient,
    administrator: Administrator,
    fake_clock: FakeClock,
    token: str,
    method: str,
) -> None:
    fake_clock.set(NOON)
    client.get(DEVICE, headers=as_device(token))
    fake_clock.set(NOON + timedelta(seconds=1))
    client.open("/api/v1/no/such/path", method=method, headers=as_device(token))
    later = "2030-05-17T12:00:01.000000Z"
    uploaded = later if method == "POST" else None
    assert times(administrator.device()) == (later, uploaded, later)


def test_first_request_of_a_device_can_be_an_upload(
    client: FlaskClient, administrator: Administrator, fake_clock: FakeClock, token: str
) -> None:
    fake_clock.set(NOON)
    client.post(UPLOADS, headers=as_device(token), json={})
    assert times(administrator.device()) == ("2030-05-17T12:00:00.000000Z",) * 3


def test_activity_times_never_go_backwards(
    client: FlaskClient, administrator: Administrator, fake_clock: FakeClock, token: str
) -> None:
    fake_clock.set(NOON)
    client.post(UPLOADS, headers=as_device(token), json={})
    before = times(administrator.device())
    fake_clock.set(NOON - timedelta(hours=1))
    client.post(UPLOADS, headers=as_device(token), json={})
    assert times(administrator.device()) == before


def test_last_activity_of_blocked_device_is_the_time_of_its_block(
    client: FlaskClient, administrator: Administrator, fake_clock: FakeClock, token: str
) -> None:
    fake_clock.set(NOON)
    client.get(DEVICE, headers=as_device(token))
    fake_clock.set(NOON + timedelta(hours=1))
    administrator.block()
    blocked = administrator.device()
    assert blocked["last_activity_at"] == blocked["blocked_at"] == "2030-05-17T13:00:00.000000Z"
    administrator.unblock()
    assert administrator.device()["last_activity_at"] == "2030-05-17T12:00:00.000000Z"


def test_request_without_device_updates_last_use_of_token(
    app: Flask, client: FlaskClient, db: Database, fake_clock: FakeClock, token: str
) -> None:
    fake_clock.set(NOON)
    client.get("/api/v1/other", headers=as_device(token, None))
    state_of(app).activity.flush()
    assert tokens.find(db, token).last_used_at == NOON
