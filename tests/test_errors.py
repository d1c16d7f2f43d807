"""Client errors of the API are problem documents with a stable code."""

from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from apidevices.database import Database
from apidevices.standalone.models import Upload
from apidevices.standalone.uploads import MAX_BYTES
from tests.conftest import (
    DEVICE,
    DEVICES,
    UPLOADS,
    Administrator,
    as_device,
)


def problem(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """Check that a response is a complete problem document, and return it."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    body: dict[str, Any] = response.get_json(force=True)
    assert list(body) == ["type", "title", "status", "detail", "code"]
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"].endswith(code)
    assert body["title"]
    assert body["detail"]
    return body


def test_missing_identifier_gets_400_device_id_required(client: FlaskClient, token: str) -> None:
    for response in (
        client.get(DEVICE, headers=as_device(token, None)),
        client.post(UPLOADS, headers=as_device(token, None), json={}),
    ):
        assert "X-Device-ID" in problem(response, 400, "device_id_required")["detail"]


def test_invalid_identifier_gets_400_device_id_invalid(client: FlaskClient, token: str) -> None:
    response = client.get(DEVICE, headers=as_device(token, "a,b"))
    assert "comma" in problem(response, 400, "device_id_invalid")["detail"]


def test_malformed_json_gets_400_invalid_request(client: FlaskClient, token: str) -> None:
    response = client.post(
        UPLOADS, headers=as_device(token), data="{", content_type="application/json"
    )
    problem(response, 400, "invalid_request")


class MalformedBody:
    """A body that the server fails to read, like gunicorn with a malformed chunk."""

    def read(self, _size: int = -1) -> bytes:
        raise RuntimeError("invalid chunk size")


@pytest.mark.parametrize(
    ("body", "length"),
    [
        pytest.param(BytesIO(b"1"), "9", id="shorter than its length"),
        pytest.param(BytesIO(b""), "1", id="missing"),
        pytest.param(MalformedBody(), None, id="malformed chunk"),
    ],
)
def test_incomplete_upload_gets_400_and_is_not_stored_on_any_server(
    client: FlaskClient, db: Database, token: str, body: Any, length: str | None
) -> None:
    environ = {"wsgi.input": body, "wsgi.input_terminated": True}
    environ |= {"CONTENT_LENGTH": length} if length else {"HTTP_TRANSFER_ENCODING": "chunked"}
    headers = as_device(token) | {"Content-Type": "application/json"}
    response = client.post(UPLOADS, headers=headers, environ_overrides=environ)
    problem(response, 400, "invalid_request")
    with db.read() as session:
        assert session.scalars(select(Upload)).all() == []


@pytest.mark.parametrize("host", ["..", "a" * 64])
def test_host_name_that_no_url_can_contain_gets_400(client: FlaskClient, host: str) -> None:
    for path in ("/login", "/none", "/settings/api-devices", "/api/none"):
        assert client.get(path, headers={"Host": host}).status_code in (400, 401)


def test_missing_token_gets_401_token_missing(client: FlaskClient) -> None:
    problem(client.get(DEVICE), 401, "token_missing")


def test_unknown_token_gets_401_token_invalid(client: FlaskClient) -> None:
    problem(client.get(DEVICE, headers=as_device("x")), 401, "token_invalid")


def test_blocked_device_gets_403_device_blocked(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    administrator.block()
    response = client.get(DEVICE, headers=as_device(token))
    assert "token is still valid" in problem(response, 403, "device_blocked")["detail"]
    assert "WWW-Authenticate" not in response.headers


def test_missing_scope_gets_403_insufficient_scope(client: FlaskClient, token: str) -> None:
    response = client.get(DEVICES, headers=as_device(token))
    assert "devices:read" in problem(response, 403, "insufficient_scope")["detail"]
    assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]
    assert 'scope="devices:read"' in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1", "/api/v2/device", f"{DEVICE}/"])
def test_unknown_path_gets_404_not_found(client: FlaskClient, token: str, path: str) -> None:
    response = client.get(path, headers=as_device(token))
    detail = problem(response, 404, "not_found")["detail"]
    assert detail == "There is nothing at this URL. Check the path."


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", DEVICE, {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", DEVICE, {"GET", "HEAD", "OPTIONS"}),
        ("GET", UPLOADS, {"POST", "OPTIONS"}),
        ("PUT", DEVICES, {"GET", "HEAD", "OPTIONS"}),
        ("PUT", f"{DEVICES}/1", {"GET", "HEAD", "OPTIONS", "PATCH", "DELETE"}),
        ("GET", f"{DEVICES}/1/block", {"POST", "OPTIONS"}),
    ],
)
def test_unsupported_method_gets_405_with_allowed_methods(
    client: FlaskClient, token: str, method: str, path: str, allowed: set[str]
) -> None:
    response = client.open(path, method=method, headers=as_device(token))
    detail = problem(response, 405, "method_not_allowed")["detail"]
    assert detail == (
        f"This URL doesn't support {method}. The Allow header lists the methods it supports."
    )
    assert set(response.headers["Allow"].split(", ")) == allowed


def test_oversized_upload_gets_413_payload_too_large(client: FlaskClient, token: str) -> None:
    response = client.post(
        UPLOADS,
        headers=as_device(token),
        data=b'"' + b"x" * (MAX_BYTES - 1) + b'"',
        content_type="application/json",
    )
    detail = problem(response, 413, "payload_too_large")["detail"]
    assert detail == "The request body can have at most 1,048,576 bytes."


@pytest.mark.parametrize("content_type", [None, "text/plain", "multipart/form-data"])
def test_upload_without_json_content_type_gets_415(
    client: FlaskClient, token: str, content_type: str | None
) -> None:
    response = client.post(UPLOADS, headers=as_device(token), data=b"{}", content_type=content_type)
    problem(response, 415, "unsupported_media_type")


def test_invalid_query_parameter_gets_422_invalid_request(administrator: Administrator) -> None:
    response = administrator.request("GET", f"{DEVICES}?status=asleep")
    assert "status" in problem(response, 422, "invalid_request")["detail"]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("foo=1", "foo: unknown parameter."),
        ("cursor=1", "cursor: invalid. Follow the URL in 'next'."),
        ("status=asleep", "status: must be 'all', 'active' or 'blocked'."),
    ],
)
def test_detail_names_the_invalid_query_parameter(
    administrator: Administrator, query: str, detail: str
) -> None:
    response = administrator.request("GET", f"{DEVICES}?{query}")
    assert problem(response, 422, "invalid_request")["detail"] == detail


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("method", "path", "body", "detail"),
    [
        ("PATCH", "/1", [], "body: must be a JSON object."),
        ("PATCH", "/1", {}, "body: must contain 'name', 'note' or 'tags'."),
        ("PATCH", "/1", {"name": "x" * 256}, "name: must have at most 255 characters."),
        ("PATCH", "/1", {"name": "x", "foo": 1}, "foo: unknown field."),
        ("POST", "/block", {"ids": []}, "ids: must not be empty."),
        ("POST", "/block", {"ids": [1, "2"]}, "ids[1]: must be an integer."),
        ("POST", "/block", {"ids": list(range(1001))}, "ids: must have at most 1,000 entries."),
    ],
)
def test_detail_names_the_invalid_field(
    administrator: Administrator, method: str, path: str, body: object, detail: str
) -> None:
    response = administrator.request(method, DEVICES + path, json=body)
    assert problem(response, 422, "invalid_request")["detail"] == detail
