"""The API for devices: the calling device and data uploads."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from apidevices.database import Database
from apidevices.standalone.models import Upload
from apidevices.standalone.uploads import MAX_BYTES
from tests.conftest import DEVICE, NOON, UPLOADS, Administrator, FakeClock, as_device


def upload(
    client: FlaskClient, token: str, body: bytes, content_type: str = "application/json"
) -> TestResponse:
    return client.post(UPLOADS, headers=as_device(token), data=body, content_type=content_type)


def stored(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(Upload.body).order_by(Upload.id)))


# --- the device --------------------------------------------------------------------------------


def test_device_gets_its_own_data(client: FlaskClient, fake_clock: FakeClock, token: str) -> None:
    fake_clock.set(NOON)
    response = client.get(DEVICE, headers=as_device(token, os="iOS", model="iPhone 14"))
    assert response.status_code == 200
    assert response.json == {
        "id": 1,
        "identifier": "phone-1",
        "name": None,
        "display_name": "phone-1",
        "application": None,
        "application_version": None,
        "os": "iOS",
        "os_version": None,
        "manufacturer": None,
        "model": "iPhone 14",
        "first_seen_at": "2030-05-17T12:00:00.000000Z",
        "last_active_at": "2030-05-17T12:00:00.000000Z",
        "last_upload_at": None,
        "last_activity_at": "2030-05-17T12:00:00.000000Z",
        "blocked_at": None,
        "block_reason": None,
        "denied_count": 0,
        "last_denied_at": None,
        "status": "active",
    }


def test_response_includes_details_from_the_same_request(client: FlaskClient, token: str) -> None:
    client.get(DEVICE, headers=as_device(token, os_version="18"))
    response = client.get(DEVICE, headers=as_device(token, os_version="26"))
    assert response.get_json()["os_version"] == "26"


def test_json_contains_unescaped_utf8(client: FlaskClient, token: str) -> None:
    response = client.get(DEVICE, headers=as_device(token, model="%E7%BA%A2%E7%B1%B3"))
    assert "红米".encode() in response.data


def test_head_response_has_no_body(client: FlaskClient, token: str) -> None:
    response = client.head(DEVICE, headers=as_device(token))
    assert (response.status_code, response.data) == (200, b"")


# --- uploads -----------------------------------------------------------------------------------


def test_upload_is_stored_with_device_and_token(
    client: FlaskClient, db: Database, fake_clock: FakeClock, token: str
) -> None:
    fake_clock.set(NOON)
    response = upload(client, token, b'{"count": 3}')
    assert response.status_code == 201
    assert response.json == {"id": 1, "received_at": "2030-05-17T12:00:00.000000Z"}
    with db.read() as session:
        [row] = session.scalars(select(Upload)).all()
    assert (row.id, row.received_at, row.size) == (1, NOON, 12)
    assert (row.token.name, row.device_id) == ("test", 1)
    assert stored(db) == ['{"count": 3}']


def test_upload_sets_last_upload_at(
    client: FlaskClient, administrator: Administrator, fake_clock: FakeClock, token: str
) -> None:
    fake_clock.set(NOON)
    upload(client, token, b"[]")
    assert administrator.device()["last_upload_at"] == "2030-05-17T12:00:00.000000Z"


def test_upload_of_one_mebibyte_is_stored(client: FlaskClient, db: Database, token: str) -> None:
    body = b'"' + b"x" * (MAX_BYTES - 2) + b'"'
    assert upload(client, token, body).status_code == 201
    assert [len(text) for text in stored(db)] == [1024 * 1024]


def test_upload_over_one_mebibyte_gets_413(client: FlaskClient, db: Database, token: str) -> None:
    body = b'"' + b"x" * (MAX_BYTES - 1) + b'"'
    assert upload(client, token, body).status_code == 413
    assert stored(db) == []


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "application/vnd.acme+json"],
)
def test_upload_with_any_json_content_type_is_stored(
    client: FlaskClient, token: str, content_type: str
) -> None:
    assert upload(client, token, b"[]", content_type).status_code == 201


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        pytest.param(b"", "JSON", id="empty"),
        pytest.param(b'{"a": }', "JSON", id="broken"),
        pytest.param(b"[NaN]", "NaN", id="NaN"),
        pytest.param(b'["\xff"]', "UTF-8", id="not UTF-8"),
        pytest.param(b"[" * 300_000, "nested", id="nested too deeply"),
    ],
)
def test_upload_of_invalid_json_gets_400(
    client: FlaskClient, db: Database, token: str, body: bytes, detail: str
) -> None:
    response = upload(client, token, body)
    assert response.status_code == 400
    problem: dict[str, Any] = json.loads(response.data)
    assert problem["code"] == "invalid_request"
    assert detail in problem["detail"]
    assert stored(db) == []


def test_upload_of_a_lone_surrogate_is_stored_unchanged(
    client: FlaskClient, db: Database, token: str
) -> None:
    assert upload(client, token, b'["\\ud800"]').status_code == 201
    assert stored(db) == ['["\\ud800"]']


def test_upload_without_device_identifier_is_not_stored(
    client: FlaskClient, db: Database, token: str
) -> None:
    response = client.post(UPLOADS, headers=as_device(token, None), json={})
    assert response.status_code == 400
    assert stored(db) == []


def test_upload_from_a_blocked_device_is_not_stored(
    client: FlaskClient, administrator: Administrator, db: Database, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    administrator.block()
    assert upload(client, token, b"[]").status_code == 403
    assert stored(db) == []
