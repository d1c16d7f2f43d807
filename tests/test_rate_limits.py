"""Limits on registrations, changes and uploads: 429 with ``Retry-After``."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import get_ident

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select
from werkzeug.test import TestResponse

from apidevices import tokens
from apidevices.metrics import OUTCOMES, RATE_LIMITED
from apidevices.models import Device, DeviceHistory, RateLimit
from apidevices.standalone.models import Upload
from tests.conftest import (
    DEVICE,
    NOON,
    UPLOADS,
    VERIFY,
    Administrator,
    FakeClock,
    MakeApp,
    as_device,
    state_of,
)

PATHS = (DEVICE, VERIFY)


@pytest.fixture
def app(make_app: MakeApp, fake_clock: FakeClock) -> Flask:
    fake_clock.set(NOON)
    return make_app(
        APIDEVICES_NEW_DEVICES_PER_HOUR="3",
        APIDEVICES_CHANGES_PER_HOUR="2",
        APIDEVICES_TOKEN_CHANGES_PER_HOUR="5",
        APIDEVICES_UPLOADS_PER_DAY="4",
        APIDEVICES_UPLOAD_BYTES_PER_DAY="1000",
        APIDEVICES_TOKEN_UPLOADS_PER_DAY="6",
        APIDEVICES_TOKEN_UPLOAD_BYTES_PER_DAY="1500",
    )


def assert_limited(response: TestResponse, setting: str, retry_after: int) -> None:
    assert response.status_code == 429
    assert response.mimetype == "application/problem+json"
    assert response.get_json(force=True)["code"] == "rate_limited"
    assert f"APIDEVICES_{setting}" in response.text
    assert int(response.headers["Retry-After"]) == retry_after


def count(app: Flask, model: type) -> int:
    with state_of(app).db.read() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """The SQL statements of this thread, apart from lookups. Activity is written in another one."""
    statements: list[str] = []
    thread = get_ident()

    def record(*arguments: object) -> None:
        if get_ident() == thread:
            statements.append(str(arguments[2]))

    engine = state_of(app).db.engine
    event.listen(engine, "before_cursor_execute", record)
    yield statements
    event.remove(engine, "before_cursor_execute", record)


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
def test_alternating_details_stop_at_the_limit(
    app: Flask, client: FlaskClient, token: str, path: str
) -> None:
    responses = [
        client.get(path, headers=as_device(token, model=("A", "B")[number % 2]))
        for number in range(8)
    ]
    # The first request registers model A, two changes are stored, and the last one was to A.
    assert [response.status_code for response in responses] == [200] * 3 + [429, 200] * 2 + [429]
    assert_limited(responses[-1], "CHANGES_PER_HOUR", 30 * 60)
    assert count(app, DeviceHistory) == 3


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


# --- uploads -----------------------------------------------------------------------------------


def upload(client: FlaskClient, token: str, identifier: str, size: int = 2) -> TestResponse:
    return client.post(UPLOADS, headers=as_device(token, identifier), json="x" * (size - 2))


@pytest.mark.parametrize(
    ("size", "accepted", "setting", "wait"),
    [(2, 4, "UPLOADS_PER_DAY", 21_600), (400, 2, "UPLOAD_BYTES_PER_DAY", 17_280)],
)
def test_uploads_of_a_device_stop_at_number_and_bytes(
    app: Flask, client: FlaskClient, token: str, size: int, accepted: int, setting: str, wait: int
) -> None:
    for _ in range(accepted):
        assert upload(client, token, "phone-1", size).status_code == 201
    for _ in range(2):
        assert_limited(upload(client, token, "phone-1", size), setting, wait)
    assert count(app, Upload) == accepted


def test_smaller_upload_is_stored_after_a_larger_one_is_refused(
    client: FlaskClient, token: str
) -> None:
    sizes = (900, 400, 90)
    statuses = [upload(client, token, "phone-1", size).status_code for size in sizes]
    assert statuses == [201, 429, 201]


@pytest.mark.parametrize(
    ("size", "accepted", "setting"),
    [(2, 6, "TOKEN_UPLOADS_PER_DAY"), (600, 2, "TOKEN_UPLOAD_BYTES_PER_DAY")],
)
def test_uploads_of_a_token_stop_at_number_and_bytes(
    app: Flask, client: FlaskClient, token: str, size: int, accepted: int, setting: str
) -> None:
    responses = [
        upload(client, token, f"phone-{number % 3}", size) for number in range(accepted + 1)
    ]
    assert [response.status_code for response in responses] == [201] * accepted + [429]
    assert f"APIDEVICES_{setting}" in responses[-1].text
    assert count(app, Upload) == accepted
    # What a token is refused does not count against the device.
    with state_of(app).db.read() as session:
        keys = session.scalars(select(RateLimit.key)).all()
    assert len([key for key in keys if key.startswith("uploads_per_day:")]) == min(3, accepted)


def test_refused_uploads_do_not_reach_the_database(
    client: FlaskClient, token: str, statements: list[str]
) -> None:
    for _ in range(5):
        upload(client, token, "phone-1")
    statements.clear()
    for _ in range(5):
        assert upload(client, token, "phone-1").status_code == 429
    assert statements == []


def test_device_can_call_the_api_after_its_uploads_are_refused(
    client: FlaskClient, token: str
) -> None:
    for _ in range(5):
        upload(client, token, "phone-1")
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200


def test_concurrent_uploads_in_two_processes_do_not_exceed_the_limit(
    app: Flask, make_app: MakeApp, token: str, client: FlaskClient
) -> None:
    client.get(DEVICE, headers=as_device(token))
    apps = [app, make_app()]

    def send(number: int) -> int:
        return upload(apps[number % 2].test_client(), token, "phone-1").status_code

    with ThreadPoolExecutor(4) as pool:
        assert Counter(pool.map(send, range(16))) == {201: 4, 429: 12}
