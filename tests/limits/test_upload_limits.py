"""Limits on uploads: their number and size, for each device and each token."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from apidevices import tokens
from apidevices.models import RateLimit
from apidevices.standalone.models import Upload
from tests.conftest import DEVICE, NOON, UPLOADS, MakeApp, as_device, state_of
from tests.limits.conftest import assert_limited, count


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


def test_uploads_with_another_token_do_not_count(
    app: Flask, client: FlaskClient, token: str
) -> None:
    _, other = tokens.issue(state_of(app).db, "other", actor="a", now=NOON)
    assert [upload(client, other, "phone-1").status_code for _ in range(5)] == [201] * 4 + [429]
    assert upload(client, token, "phone-1").status_code == 201


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
