"""A blocked device is denied, whatever it asks."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import APIDevices, clock, devices
from tests.conftest import state_of
from tests.host.conftest import ORDERS, Close, block, phone


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{ORDERS}/"),
        ("POST", f"{ORDERS}/"),
        ("DELETE", f"{ORDERS}/"),
        ("GET", f"{ORDERS}/later"),
        ("GET", f"{ORDERS}/goods"),
        ("GET", f"{ORDERS}/nothing"),
        ("DELETE", "/elsewhere/stock"),
    ],
)
def test_blocked_device_is_denied(app: Flask, client: FlaskClient, method: str, path: str) -> None:
    client.get(f"{ORDERS}/", headers=phone())
    block(app)
    answer = client.open(path, method=method, headers=phone())
    assert (answer.status_code, answer.get_json()["code"]) == (403, "device_blocked")
    assert client.get(f"{ORDERS}/", headers=phone("phone-2")).status_code == 200


def test_unblocked_device_is_served_at_once(app: Flask, client: FlaskClient) -> None:
    client.get(f"{ORDERS}/", headers=phone())
    device_id = block(app)
    with app.app_context():
        devices.unblock(state_of(app).db, device_id, actor="ann", now=clock.now())
    assert client.get(f"{ORDERS}/", headers=phone()).status_code == 200


def test_hook_that_answers_by_itself_lets_no_blocked_device_in(url: str, closing: Close) -> None:
    extension = APIDevices(db=url)
    app = Flask(__name__)
    app.before_request(lambda: "out of a cache")
    extension.init_app(closing(app))
    extension.protect("/api")
    with app.app_context():
        extension.upgrade()
    client = app.test_client()
    assert client.get("/api/x", headers=phone()).text == "out of a cache"
    with app.app_context():
        devices.block(state_of(app).db, 1, actor="ann", now=clock.now())
    assert client.get("/api/x", headers=phone()).status_code == 403
