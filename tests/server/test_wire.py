"""Hostile and malformed requests, sent as raw bytes."""

import http.client
from contextlib import closing, suppress

import pytest

from apidevices.standalone.uploads import MAX_BYTES
from harness.real_server import RealServer, Response
from tests.conftest import DEVICE, UPLOADS, as_device


def request(token: str, *lines: bytes, method: bytes = b"GET", path: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    head = [
        method + b" " + (path or DEVICE.encode()) + b" HTTP/1.1",
        b"Host: localhost",
        b"Connection: close",
        b"Authorization: Bearer " + token.encode(),
        *lines,
    ]
    return b"\r\n".join(head) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("红米 Note".encode(), "红米 Note", id="UTF-8"),
        pytest.param("📱".encode(), "📱", id="emoji"),
        pytest.param(b"caf%C3%A9", "café", id="percent-encoded"),
        pytest.param(b"caf\xe9", "café", id="Latin-1"),
        pytest.param(b"\xff\xfe\xc3", "ÿþÃ", id="not UTF-8"),
        pytest.param(b"a\xed\xa0\x80b", "aí b", id="raw surrogate"),
        pytest.param(b"%ED%A0%80%00%zz%", "%ED%A0%80%zz%", id="invalid escapes"),
        pytest.param(b"x" * 10_000, "x" * 255, id="10,000 characters"),
        pytest.param("é".encode() * 10_000, "é" * 255, id="10,000 characters, not ASCII"),
        pytest.param(b"%F0%9F%93%B1" * 10_000, "📱" * 255, id="10,000 characters, escaped"),
        pytest.param(b"a%0D%0AX-Device-ID: evil", "a X-Device-ID: evil", id="escaped line break"),
        pytest.param(b"<script>alert('x')</script>", "<script>alert('x')</script>", id="HTML"),
        pytest.param(b"{{ 7 * 7 }} ${7} %(x)s {0}", "{{ 7 * 7 }} ${7} %(x)s {0}", id="templates"),
        pytest.param(b"'; DROP TABLE x; --", "'; DROP TABLE x; --", id="SQL"),
    ],
)
def test_hostile_detail_is_shown_as_text(
    server: RealServer, token: str, value: bytes, shown: str
) -> None:
    identifier = b"X-Device-ID: hostile"
    response = server.send(request(token, identifier, b"X-Device-Model: " + value))
    assert response.status == 200, response.body
    assert response.json["model"] == shown


@pytest.mark.parametrize(
    ("value", "status"),
    [
        pytest.param("设备-📱".encode(), 200, id="UTF-8"),
        pytest.param(b"%41%2C", 200, id="percent-encoded"),
        pytest.param(b"<b>&amp;</b>", 200, id="HTML"),
        pytest.param(b"x" * 255, 200, id="255 characters"),
        pytest.param(b"x" * 256, 400, id="256 characters"),
        pytest.param(b"x" * 10_000, 400, id="10,000 characters"),
        pytest.param(b"a,b", 400, id="comma"),
        pytest.param(b"a\r\nX-Device-ID: b", 400, id="sent twice"),
        pytest.param(b"\xff\xfe", 400, id="not UTF-8"),
        pytest.param(b"", 400, id="empty"),
        pytest.param("a\u202eb".encode(), 400, id="right-to-left override"),
    ],
)
def test_hostile_identifier_is_shown_as_text_or_rejected(
    server: RealServer, token: str, value: bytes, status: int
) -> None:
    response = server.send(request(token, b"X-Device-ID: " + value))
    assert response.status == status, response.body
    if status == 200:
        assert response.json["identifier"] == value.decode()
    else:
        assert response.json["code"] == "device_id_invalid"


@pytest.mark.parametrize(
    "byte", [b"\x00", b"\x01", b"\x0b", b"\x1b", b"\x7f", b"\x85", b"\r", b"\n"]
)
@pytest.mark.parametrize("header", [b"X-Device-ID", b"X-Device-Model", b"Authorization"])
def test_control_character_causes_no_server_error(
    server: RealServer, token: str, header: bytes, byte: bytes
) -> None:
    response = server.send(request(token, header + b": a" + byte + b"b"))
    assert 200 <= response.status < 500


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", id="version"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\r\n\r\n", id="TLS"),
        pytest.param(b"GET " + b"/x" * 50_000 + b" HTTP/1.1\r\n\r\n", id="long path"),
        pytest.param(b"GET /api/v1/\xff%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n", id="path not UTF-8"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n", id="many headers"),
        pytest.param(b"GET / HTTP/1.1\r\nA: " + b"b" * 300_000 + b"\r\n\r\n", id="long header"),
        pytest.param(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", id="length not a number"),
    ],
)
def test_malformed_request_causes_no_server_error(server: RealServer, raw: bytes) -> None:
    with suppress(ConnectionError, http.client.BadStatusLine):  # may close the connection
        assert 400 <= server.send(raw).status < 500
    assert server.call("GET", "/livez").status == 200


def test_header_name_with_underscores_is_ignored(server: RealServer, token: str) -> None:
    response = server.send(request(token, b"X-Device-ID: hyphen", b"X_Device_ID: underscore"))
    assert response.json["identifier"] == "hyphen"
    assert server.send(request(token, b"X_Device_ID: underscore")).status == 400


@pytest.mark.parametrize("method", [b"PROPFIND", b"TRACE", b"OPTIONS", b"M-SEARCH"])
@pytest.mark.parametrize("path", [b"/api/v1/device", b"/api//v1/device", b"/%61pi/v1/nothing"])
def test_blocked_device_gets_403_for_every_method_and_path(
    server: RealServer, token: str, method: bytes, path: bytes
) -> None:
    headers = as_device(token, "blocked-4")
    if server.call("GET", DEVICE, headers).status == 200:
        assert server.flask("apidevices", "block", "blocked-4").returncode == 0
    response = server.send(request(token, b"X-Device-ID: blocked-4", method=method, path=path))
    assert (response.status, response.json["code"]) == (403, "device_blocked")


# --- uploads -----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "with length"])
@pytest.mark.parametrize(("size", "status"), [(MAX_BYTES, 201), (MAX_BYTES + 1, 413)])
def test_upload_is_stored_up_to_the_size_limit_and_gets_413_above(
    server: RealServer, token: str, chunked: bool, size: int, status: int
) -> None:
    body = b"7" * size  # valid JSON even if truncated
    pieces = (body[start : start + 60_000] for start in range(0, size, 60_000))
    headers = {**as_device(token, "uploader"), "Content-Type": "application/json"}
    with closing(server.connect()) as connection:
        connection.request(
            "POST", UPLOADS, pieces if chunked else body, headers, encode_chunked=chunked
        )
        response = Response.read(connection.getresponse())
    assert response.status == status
