"""Limits on registrations and changes: 429 with ``Retry-After``."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import tokens
from apidevices.metrics import OUTCOMES, RATE_LIMITED
from apidevices.models import Device, DeviceHistory
from tests.conftest import (
    DEVICE,
    NOON,
    VERIFY,
    Administrator,
    FakeClock,
    MakeApp,
    as_device,
    state_of,
)
from tests.limits.conftest import assert_limited, count

PATHS = (DEVICE, VERIFY)

# --- new devices -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_flood_of_new_devices_stops_at_the_limit(
    app: Flask, client: FlaskClient, token: str, path: str
) -> None:
    statuses = [
        client.get(path, headers=as_device(token, f"made-up-{number}")).status_code
        for number in range(20)
    ]
    assert statuses == [200] * 3 + [429] * 17
    assert count(app, Device) == 3
    refused = client.get(path, headers=as_device(token, "another"))
    assert_limited(refused, "NEW_DEVICES_PER_HOUR", 20 * 60)


@pytest.mark.parametrize("path", PATHS)
def test_known_devices_are_served_during_a_flood(
    client: FlaskClient, token: str, path: str
) -> None:
    for number in range(5):
        client.get(path, headers=as_device(token, f"phone-{number}"))
    for number in range(3):
        headers = as_device(token, f"phone-{number}")
        assert client.get(path, headers=headers).status_code == 200


def test_new_devices_are_registered_again_after_the_wait(
    client: FlaskClient, token: str, fake_clock: FakeClock
) -> None:
    for number in range(4):
        client.get(DEVICE, headers=as_device(token, f"phone-{number}"))
    fake_clock.set(NOON + timedelta(minutes=20))
    assert client.get(DEVICE, headers=as_device(token, "later")).status_code == 200
    assert client.get(DEVICE, headers=as_device(token, "too early")).status_code == 429


def test_tokens_have_separate_limits(app: Flask, client: FlaskClient, token: str) -> None:
    for number in range(4):
        client.get(DEVICE, headers=as_device(token, f"phone-{number}"))
    _, other = tokens.issue(state_of(app).db, "other", actor="ann", now=NOON)
    assert client.get(DEVICE, headers=as_device(other, "another")).status_code == 200


@pytest.mark.parametrize(("own", "accepted"), [(1, 1), (5, 5), (0, 8)])
def test_token_can_have_its_own_limit(
    app: Flask, client: FlaskClient, own: int, accepted: int
) -> None:
    _, token = tokens.issue(
        state_of(app).db, "own", new_devices_per_hour=own, actor="ann", now=NOON
    )
    for number in range(8):
        client.get(DEVICE, headers=as_device(token, f"phone-{number}"))
    assert count(app, Device) == accepted


def test_blocked_device_is_denied_as_blocked_during_a_flood(
    client: FlaskClient, token: str, administrator: Administrator
) -> None:
    for number in range(5):
        client.get(DEVICE, headers=as_device(token, f"phone-{number}"))
    administrator.block("phone-1")
    denied = client.get(DEVICE, headers=as_device(token, "phone-1", model="other"))
    assert (denied.status_code, denied.get_json(force=True)["code"]) == (403, "device_blocked")


def test_concurrent_registrations_in_two_processes_do_not_exceed_the_limit(
    app: Flask, make_app: MakeApp, token: str
) -> None:
    apps = [app, make_app()]  # like two workers, they share only the database

    def register(number: int) -> int:
        client = apps[number % 2].test_client()
        return client.get(DEVICE, headers=as_device(token, f"phone-{number}")).status_code

    with ThreadPoolExecutor(4) as pool:
        assert Counter(pool.map(register, range(24))) == {200: 3, 429: 21}


def test_refused_registrations_do_not_reach_the_database(
    client: FlaskClient, token: str, statements: list[str]
) -> None:
    for number in range(4):
        client.get(DEVICE, headers=as_device(token, f"phone-{number}"))
    statements.clear()
    for number in range(10):
        assert client.get(DEVICE, headers=as_device(token, f"late-{number}")).status_code == 429
    assert statements == []


def test_refusals_are_counted_and_logged_once_per_hour(
    app: Flask,
    client: FlaskClient,
    token: str,
    fake_clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in range(8):
        client.get(DEVICE, headers=as_device(token, f"phone-{number}"))
    values = state_of(app).metrics.values()
    assert (values[OUTCOMES.index("rate_limited")], values[RATE_LIMITED]) == (5, 5)
    fake_clock.set(NOON + timedelta(minutes=20))
    for number in range(8, 12):
        client.get(DEVICE, headers=as_device(token, f"phone-{number}"))
    [line] = [record.getMessage() for record in caplog.records if "limit" in record.getMessage()]
    assert "token:1 has reached the limit new_devices_per_hour=3" in line


# --- changes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_new_details_stop_at_the_limit(
    app: Flask, client: FlaskClient, token: str, path: str
) -> None:
    responses = [client.get(path, headers=as_device(token, model=model)) for model in "ABCDCDCD"]
    # The first request registers model A, and two changes are stored: to B and to C.
    assert [response.status_code for response in responses] == [200] * 3 + [429, 200] * 2 + [429]
    assert_limited(responses[-1], "CHANGES_PER_HOUR", 30 * 60)
    assert count(app, DeviceHistory) == 3


def test_changes_with_another_token_do_not_count(
    app: Flask, client: FlaskClient, token: str
) -> None:
    _, other = tokens.issue(state_of(app).db, "other", actor="a", now=NOON)
    for model in "ABCD":
        response = client.get(DEVICE, headers=as_device(other, model=model))
    assert response.status_code == 429
    assert client.get(DEVICE, headers=as_device(token, model="E")).status_code == 200


def test_refused_change_stores_nothing(
    client: FlaskClient, token: str, administrator: Administrator
) -> None:
    for model in "ABCD":
        client.get(DEVICE, headers=as_device(token, model=model))
    assert administrator.device()["model"] == "C"
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200


def test_refused_changes_do_not_reach_the_database(
    client: FlaskClient, token: str, statements: list[str]
) -> None:
    for model in "ABCD":
        client.get(DEVICE, headers=as_device(token, model=model))
    statements.clear()
    for model in "EFGH":
        assert client.get(DEVICE, headers=as_device(token, model=model)).status_code == 429
    assert statements == []


def test_repeated_changes_of_many_devices_stop_at_the_limit_of_their_token(
    app: Flask, client: FlaskClient, fake_clock: FakeClock
) -> None:
    _, token = tokens.issue(state_of(app).db, "own", new_devices_per_hour=0, actor="a", now=NOON)
    headers = [as_device(token, f"phone-{number}") for number in range(8)]

    def change(model: str) -> Counter[int]:
        return Counter(
            client.get(DEVICE, headers=device | {"X-Device-Model": model}).status_code
            for device in headers
        )

    change("A")
    fake_clock.set(NOON + timedelta(days=2))
    assert change("B") == {200: 8}  # an update of the whole fleet
    assert change("C") == {200: 5, 429: 3}
    last = client.get(DEVICE, headers=headers[-1] | {"X-Device-Model": "D"})
    assert_limited(last, "TOKEN_CHANGES_PER_HOUR", 12 * 60)
