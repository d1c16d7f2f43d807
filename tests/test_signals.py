"""Signals about device events."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from blinker import Signal
from flask import Flask
from flask.testing import FlaskClient

from apidevices import devices, signals
from apidevices.database import Database
from tests.conftest import DEVICE, NOON, FakeClock, Register, as_device

NAMES = ("registered", "changed", "renamed", "blocked", "unblocked", "denied")

Received = list[tuple[str, dict[str, Any]]]


def signal(name: str) -> Signal:
    found: Signal = getattr(signals, f"device_{name}")
    return found


@pytest.fixture
def received(app: Flask) -> Iterator[Received]:
    """The signals that the application sends during a test, as (name, details)."""
    received: Received = []
    with ExitStack() as stack:
        for name in NAMES:

            def receive(sender: Flask, name: str = name, **details: Any) -> None:
                received.append((name, details))

            stack.enter_context(signal(name).connected_to(receive, sender=app))
        yield received


def test_registration_and_change_send_signals(
    client: FlaskClient, token: str, received: Received
) -> None:
    for model in ("Pixel 8", "Pixel 8", "Pixel 9"):
        assert client.get(DEVICE, headers=as_device(token, model=model)).status_code == 200
    assert [name for name, _ in received] == ["registered", "changed"]
    [(_, registered), (_, changed)] = received
    assert (registered["device"].identifier, registered["device"].model) == ("phone-1", "Pixel 8")
    assert changed["device"].model == "Pixel 9"
    assert changed["changes"] == {"model": ["Pixel 8", "Pixel 9"]}


def test_rename_block_and_unblock_send_signals_once(
    app: Flask, db: Database, register: Register, received: Received
) -> None:
    device_id = register("phone-1")
    received.clear()
    with app.app_context():
        for _ in range(2):
            devices.rename(db, device_id, "Door", actor="ann", now=NOON)
        for _ in range(2):
            devices.block(db, device_id, actor="ann", now=NOON)
        for _ in range(2):
            devices.unblock(db, device_id, actor="ann", now=NOON)
    assert [name for name, _ in received] == ["renamed", "blocked", "unblocked"]
    assert {details["device"].display_name for _, details in received} == {"Door"}


def test_change_of_details_after_the_end_of_a_block_sends_both_signals(
    client: FlaskClient, db: Database, register: Register, token: str, received: Received,
    fake_clock: FakeClock,
) -> None:  # fmt: skip
    until = NOON + timedelta(hours=1)
    devices.block(db, register("phone-1"), until=until, actor="ann", now=NOON)
    received.clear()
    fake_clock.set(until)
    assert client.get(DEVICE, headers=as_device(token, model="Pixel 9")).status_code == 200
    assert [name for name, _ in received] == ["unblocked", "changed"]


def test_each_denied_request_sends_a_signal(
    client: FlaskClient, db: Database, register: Register, token: str, received: Received
) -> None:
    devices.block(db, register("phone-1"), actor="ann", now=NOON)
    received.clear()
    for _ in range(2):
        assert client.get(DEVICE, headers=as_device(token)).status_code == 403
    assert [(name, details["device"].identifier) for name, details in received] == [
        ("denied", "phone-1")
    ] * 2


def test_exception_in_receiver_is_logged_and_not_raised(
    client: FlaskClient, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Flask, **__: Any) -> None:
        raise ZeroDivisionError("receiver failed")

    with signals.device_registered.connected_to(fail):
        assert client.get(DEVICE, headers=as_device(token)).status_code == 200
    assert "receiver failed" in caplog.text
