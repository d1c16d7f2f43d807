"""Signals: what happened, once it is durable, for whoever listens."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from blinker import Signal
from flask import Flask
from flask.testing import FlaskClient

from apidevices import devices, signals
from apidevices.database import Database
from tests.conftest import DEVICE, NOON, Register, as_device

NAMES = ("registered", "changed", "renamed", "blocked", "unblocked", "denied")

Told = list[tuple[str, dict[str, Any]]]


def signal(name: str) -> Signal:
    found: Signal = getattr(signals, f"device_{name}")
    return found


@pytest.fixture
def told(app: Flask) -> Iterator[Told]:
    """Everything that was told by this application since, as name and details."""
    heard: Told = []
    with ExitStack() as stack:
        for name in NAMES:

            def hear(sender: Flask, name: str = name, **details: Any) -> None:
                heard.append((name, details))

            stack.enter_context(signal(name).connected_to(hear, sender=app))
        yield heard


def test_what_a_device_does_is_told(client: FlaskClient, token: str, told: Told) -> None:
    for model in ("Pixel 8", "Pixel 8", "Pixel 9"):
        assert client.get(DEVICE, headers=as_device(token, model=model)).status_code == 200
    assert [name for name, _ in told] == ["registered", "changed"]
    [(_, registered), (_, changed)] = told
    assert (registered["device"].identifier, registered["device"].model) == ("phone-1", "Pixel 8")
    assert changed["device"].model == "Pixel 9"
    assert changed["changes"] == {"model": ["Pixel 8", "Pixel 9"]}


def test_what_is_done_to_a_device_is_told_once(
    app: Flask, db: Database, register: Register, told: Told
) -> None:
    device_id = register("phone-1")
    told.clear()
    with app.app_context():
        for _ in range(2):
            devices.rename(db, device_id, "Door", actor="ann", now=NOON)
        for _ in range(2):
            devices.block(db, device_id, actor="ann", now=NOON)
        for _ in range(2):
            devices.unblock(db, device_id, actor="ann", now=NOON)
    assert [name for name, _ in told] == ["renamed", "blocked", "unblocked"]
    assert {details["device"].display_name for _, details in told} == {"Door"}


def test_each_denied_request_is_told(
    client: FlaskClient, db: Database, register: Register, token: str, told: Told
) -> None:
    devices.block(db, register("phone-1"), actor="ann", now=NOON)
    told.clear()
    for _ in range(2):
        assert client.get(DEVICE, headers=as_device(token)).status_code == 403
    assert [(name, details["device"].identifier) for name, details in told] == [
        ("denied", "phone-1")
    ] * 2


def test_receiver_that_fails_stops_nothing(
    client: FlaskClient, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Flask, **__: Any) -> None:
        raise ZeroDivisionError("who divides here?")

    with signals.device_registered.connected_to(fail):
        assert client.get(DEVICE, headers=as_device(token)).status_code == 200
    assert "who divides here?" in caplog.text
