"""Where requests begin and end: limits, lengths, chunks, pipelining and upgrades, as raw bytes."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from harness.real_server import RealServer, Response, read_response
from tests.conftest import DEVICE, UPLOADS, as_device
from tests.server.management import devices

pytestmark = pytest.mark.database("sqlite")

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
STATIC = "/settings/api-devices/static/app.css"


@pytest.fixture
def connection(server: RealServer) -> Iterator[socket.socket]:
    """Connect to the server. The test sends and receives bytes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connected:
        yield connected


def upload(token: str, identifier: str, *lines: str, body: bytes = b"") -> bytes:
    """Return an upload whose headers tell its length in an unusual way."""
    headers = as_device(token, identifier) | {"Content-Type": "application/json"}
    head = [f"POST {UPLOADS} HTTP/1.1", "Host: localhost", *map(": ".join, headers.items()), *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


def read_to_end(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    received = b""
    with suppress(ConnectionError):
        while part := connection.recv(100_000):
            received += part
    return received


# --- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        pytest.param(b"A: b\r\n" * 99, 200, id="100 headers"),
        pytest.param(b"A: b\r\n" * 100, 431, id="101 headers"),
        pytest.param(b"A: " + b"b" * 130_000 + b"\r\n", 200, id="127 KiB"),
        pytest.param(b"A: " + b"b" * 132_000 + b"\r\n", 431, id="129 KiB"),
    ],
)
@pytest.mark.parametrize("size", [1_000, 300_000])
def test_headers_above_the_limits_get_431(
    server: RealServer, connection: socket.socket, lines: bytes, status: int, size: int
) -> None:
    request = LIVEZ[:-2] + lines + b"\r\n"
    with suppress(ConnectionError):
        for start in range(0, len(request), size):
            connection.sendall(request[start : start + size])
    assert read_response(connection).status == status


@pytest.mark.parametrize(
    ("begin", "endless"),
    [
        pytest.param(b"", b"\r\n" * 5_000, id="line breaks"),
        pytest.param(LIVEZ[:-2], b"a:\r\n" * 2_500, id="headers"),
        pytest.param(LIVEZ[:-2] + b"A: ", b"a" * 10_000, id="header"),
        pytest.param(b"GET /", b"a" * 10_000, id="path"),
        pytest.param(
            b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"a: b\r\n" * 2_000,
            id="trailers",
        ),
        pytest.param(
            b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            b"a" * 10_000,
            id="chunk extension",
        ),
    ],
)
def test_endless_request_is_cut_off(
    connection: socket.socket, begin: bytes, endless: bytes
) -> None:
    connection.sendall(begin)
    sent = 0
    with suppress(ConnectionError):
        while sent < 20_000_000:
            connection.sendall(endless)
            sent += len(endless)
    assert sent < 20_000_000


@pytest.mark.parametrize(
    ("version", "lines", "status"),
    [
        pytest.param("1.1", "Host: devices.example.com:8000\r\n", 200, id="name"),
        pytest.param("1.1", "Host: [::1]:8000\r\n", 200, id="address"),
        pytest.param("1.1", "Host:\r\n", 200, id="empty"),
        pytest.param("1.0", "", 200, id="none in HTTP/1.0"),
        pytest.param("1.1", "", 400, id="none"),
        pytest.param("1.1", "Host: a\r\nHost: b\r\n", 400, id="two"),
        pytest.param("1.1", "Host: a\r\nHost: a\r\n", 400, id="the same twice"),
        pytest.param("1.0", "Host: a\r\nHost: b\r\n", 400, id="two in HTTP/1.0"),
        pytest.param("1.1", "Host: a,b\r\n", 400, id="list"),
        pytest.param("1.1", "Host: a/b\r\n", 400, id="path"),
        pytest.param("1.1", "Host: a@b\r\n", 400, id="user"),
        pytest.param("1.1", "Host: a b\r\n", 400, id="space"),
        pytest.param("1.1", "Host: a:b\r\n", 400, id="port"),
        pytest.param("0.9", "Host: a\r\n", 400, id="HTTP/0.9"),
        pytest.param("2.0", "Host: a\r\n", 400, id="HTTP/2.0"),
    ],
)
def test_request_needs_one_valid_host_and_a_supported_version(
    connection: socket.socket, version: str, lines: str, status: int
) -> None:
    connection.sendall(f"GET /livez HTTP/{version}\r\n{lines}\r\n".encode())
    assert read_response(connection).status == status


def test_many_pipelined_requests_are_answered_in_order(connection: socket.socket) -> None:
    missing = b"GET /missing HTTP/1.1\r\nHost: localhost\r\n\r\n"
    connection.sendall((LIVEZ + missing) * 20)
    received = b""
    while received.count(b"HTTP/1.1 ") < 40:
        received += connection.recv(100_000)
    statuses = [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404"] * 20


def test_client_that_pipelines_without_limit_is_disconnected(connection: socket.socket) -> None:
    connection.sendall(LIVEZ * 5_000)
    assert read_to_end(connection).count(b"HTTP/1.1 200 OK") < 5_000


def test_client_that_leaves_during_pipelined_requests_causes_no_error(server: RealServer) -> None:
    page = b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as leaving:
            leaving.sendall(page * 10)
    time.sleep(1)
    assert "Traceback" not in server.log


# --- bodies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        pytest.param(["Transfer-Encoding: chunked"], b"zz\r\n1\r\n0\r\n\r\n", id="chunk size"),
        pytest.param(["Transfer-Encoding: chunked"], b"1\r\n11\r\n0\r\n\r\n", id="chunk end"),
        pytest.param(["Transfer-Encoding: chunked"], b"-1\r\n1\r\n0\r\n\r\n", id="negative chunk"),
        pytest.param(["Transfer-Encoding: xchunked"], b"1\r\n1\r\n0\r\n\r\n", id="encoding"),
        pytest.param(["Content-Length: 1", "Content-Length: 2"], b"11", id="two lengths"),
        pytest.param(["Content-Length: 1, 2"], b"11", id="two lengths in one header"),
        pytest.param(["Content-Length: +1"], b"1", id="length with a sign"),
        pytest.param(
            ["Content-Length: 1", "Transfer-Encoding: chunked"],
            b"1\r\n1\r\n0\r\n\r\n",
            id="length and chunks",
        ),
    ],
)
def test_ambiguous_or_malformed_body_gets_400_and_stores_nothing(
    server: RealServer, token: str, connection: socket.socket, lines: list[str], body: bytes
) -> None:
    connection.sendall(upload(token, "malformed", *lines, body=body))
    received = read_to_end(connection)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1") == 1
    assert devices(server, token, "malformed") == []


@pytest.mark.parametrize(
    ("line", "body"),
    [("Content-Length: 9", b"1"), ("Transfer-Encoding: chunked", b"1\r\n1\r\n")],
)
def test_incomplete_body_gets_400_and_is_not_stored(
    server: RealServer, token: str, connection: socket.socket, line: str, body: bytes
) -> None:
    connection.sendall(upload(token, "incomplete", line, body=body))
    connection.shutdown(socket.SHUT_WR)
    assert read_to_end(connection).startswith(b"HTTP/1.1 400 ")
    assert devices(server, token, "incomplete") == []


def test_request_is_answered_after_its_client_has_closed_its_side(
    token: str, connection: socket.socket
) -> None:
    connection.sendall(upload(token, "one-way", "Content-Length: 1", body=b"1"))
    connection.shutdown(socket.SHUT_WR)
    assert read_to_end(connection).startswith(b"HTTP/1.1 201 ")


def test_trailer_is_not_a_header(server: RealServer, token: str, connection: socket.socket) -> None:
    lines = ["Transfer-Encoding: chunked", "Trailer: X-Device-Model"]
    body = b"1\r\n1\r\n0\r\nX-Device-ID: trailer\r\nX-Device-Model: trailer\r\n\r\n"
    connection.sendall(upload(token, "header", *lines, body=body))
    assert read_response(connection).status == 201
    [device] = devices(server, token, "header")
    assert device["model"] is None


def test_early_413_reaches_a_client_that_sends_on(token: str, connection: socket.socket) -> None:
    size = 10_000_000
    connection.sendall(upload(token, "early", f"Content-Length: {size}"))
    for _ in range(size // 100_000):
        connection.sendall(b"1" * 100_000)
    assert read_response(connection).status == 413
    connection.sendall(LIVEZ)
    assert read_response(connection).status == 200


@pytest.mark.parametrize(("size", "first"), [(1, b"100 Continue"), (9_000_000, b"413 ")])
def test_body_is_only_requested_if_it_is_wanted(
    token: str, connection: socket.socket, size: int, first: bytes
) -> None:
    lines = [f"Content-Length: {size}", "Expect: 100-continue"]
    connection.sendall(upload(token, "expects", *lines))
    assert connection.recv(10_000).startswith(b"HTTP/1.1 " + first)
    if size == 1:
        connection.sendall(b"1")
        assert read_response(connection).status == 201
    else:  # the next request would be mistaken for the body
        assert read_to_end(connection).count(b"HTTP/1.1") == 0


# --- upgrades and old clients ------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_upgrade_is_ignored(token: str, connection: socket.socket, protocol: str) -> None:
    """Java's HTTP client asks for HTTP/2 like this, with every request and any body."""
    body = b'{"count": 3}'
    lines = ["Connection: Upgrade", f"Upgrade: {protocol}", f"Content-Length: {len(body)}"]
    for cut in (0, 5, len(body)):
        connection.sendall(upload(token, "upgrades", *lines, body=body[:cut]))
        time.sleep(0.1)
        connection.sendall(body[cut:])
        assert read_response(connection).status == 201
    connection.sendall(LIVEZ)
    assert read_response(connection).body == b"ok\n"


def test_body_of_an_upgrade_is_not_parsed_as_a_request(
    token: str, connection: socket.socket
) -> None:
    lines = ["Connection: Upgrade", "Upgrade: h2c", f"Content-Length: {len(LIVEZ)}"]
    connection.sendall(upload(token, "upgrades", *lines))
    time.sleep(0.1)
    connection.sendall(LIVEZ)
    assert b"The body is not JSON" in read_response(connection).body
    connection.sendall(b"GET /missing HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert read_response(connection).status == 404


@pytest.mark.parametrize("target", [b"localhost:443", b"/verify"])
def test_connect_gets_400(connection: socket.socket, target: bytes) -> None:
    connection.sendall(b"CONNECT " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" + LIVEZ)
    received = read_to_end(connection)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1") == 1


def test_http_1_0_client_gets_a_response_that_ends_with_the_connection(
    connection: socket.socket,
) -> None:
    connection.sendall(f"GET {STATIC} HTTP/1.0\r\n\r\n".encode())
    head, _, body = read_to_end(connection).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert f"content-length: {len(body)}" in head.decode().lower()


@pytest.mark.parametrize("path", ["/livez", "/login", "/verify", DEVICE, STATIC, "/missing"])
def test_head_has_the_headers_of_get_and_no_body(server: RealServer, token: str, path: str) -> None:
    headers = as_device(token, "head")
    with closing(server.connect()) as connection:
        for _ in range(2):  # a body would be read as the next response
            connection.request("HEAD", path, headers=headers)
            head = Response.read(connection.getresponse())
            connection.request("GET", path, headers=headers)
            get = Response.read(connection.getresponse())
            assert head.status == get.status
            assert head.headers["Content-Length"] == get.headers["Content-Length"]


def test_unchanged_static_file_gets_304(server: RealServer) -> None:
    tag = server.call("GET", STATIC).headers["ETag"]
    assert server.call("GET", STATIC, {"If-None-Match": tag}).status == 304
