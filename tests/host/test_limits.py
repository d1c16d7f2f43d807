"""Limits in a host application, which authenticates its callers itself."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import APIDevices, devices
from tests.conftest import state_of
from tests.host.conftest import Close, known_identifiers, make_app


@pytest.fixture
def app(url: str, closing: Close) -> Flask:
    """An application that permits two new devices and two changes per hour."""
    extension = APIDevices(db=url)
    limits = {"APIDEVICES_NEW_DEVICES_PER_HOUR": 2, "APIDEVICES_CHANGES_PER_HOUR": 2}
    app = make_app(extension, closing, **limits)

    @app.get("/api/who")
    def who() -> dict[str, Any]:
        device = extension.current_device()
        return {"device": device and device.identifier}

    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def call(
    client: FlaskClient,
    identifier: str,
    path: str = "ping",
    address: str = "192.0.2.1",
    **sent: str,
) -> int:
    headers = {"X-Device-ID": identifier, **sent}
    environ = {"REMOTE_ADDR": address}
    return client.get(f"/api/{path}", headers=headers, environ_overrides=environ).status_code


def test_response_is_kept_but_new_devices_above_the_limit_are_not_recorded(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert [call(client, f"phone-{number}") for number in range(5)] == [200] * 5
    assert sorted(known_identifiers(app)) == ["phone-0", "phone-1"]
    assert len(caplog.records) == 1  # a flood must not fill the log


def test_current_device_aborts_the_request_above_the_limit(client: FlaskClient) -> None:
    statuses = [call(client, f"phone-{number}", "who") for number in range(4)]
    assert statuses == [200, 200, 429, 429]
    assert call(client, "phone-0", "who") == 200


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("", "", "192.0.2.1"),
    ],
)
def test_limit_for_new_devices_applies_to_each_address_or_network(
    client: FlaskClient, address: str, same: str, other: str
) -> None:
    for number in range(2):
        assert call(client, f"phone-{number}", "who", address) == 200
    assert call(client, "phone-3", "who", same) == 429
    assert call(client, "phone-3", "who", other) == 200


def test_changes_above_the_limit_are_not_stored(app: Flask, client: FlaskClient) -> None:
    for model in "ABCDE":
        assert call(client, "phone-1", **{"X-Device-Model": model}) == 200
    assert call(client, "phone-1", "who", **{"X-Device-Model": "F"}) == 429
    assert devices.get(state_of(app).db, 1).model == "C"
