"""What the real server logs."""

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from harness.real_server import RealServer, wait_until
from tests.conftest import DEVICE, UPLOADS, StartServer, as_device

pytestmark = pytest.mark.database("sqlite")

PATHS = ["/livez", "/verify", "/metrics", DEVICE, "/none", "/login", "/static/app.css", "/verify/x"]


@pytest.fixture
def server(make_server: StartServer) -> Iterator[RealServer]:
    """A server behind a proxy that logs every request as JSON."""
    variables = {"APIDEVICES_LOG": "json", "APIDEVICES_ACCESS_LOG": "true"}
    with make_server(WEB_CONCURRENCY="1", APIDEVICES_PROXIES="1", **variables) as running:
        yield running


def lines(server: RealServer) -> list[dict[str, Any]]:
    """Return the log lines. Other output is only the setup link."""
    return [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]


def requests(server: RealServer, request_id: str) -> list[dict[str, Any]]:
    return [line for line in lines(server) if line.get("request_id") == request_id]


def test_response_and_access_log_have_the_id_of_the_proxy(server: RealServer) -> None:
    for path in PATHS:
        sent = {"X-Request-ID": f"id-{path}", "X-Forwarded-For": "203.0.113.9"}
        response = server.call("GET", f"{path}?secret=1", sent)
        assert response.headers.get_all("X-Request-ID") == [f"id-{path}"]
        wait_until(partial(requests, server, f"id-{path}"))
        [line] = requests(server, f"id-{path}")
        assert (line["method"], line["path"], line["status"]) == ("GET", path, response.status)
        assert line["bytes"] == len(response.body)
        assert 0 < line["duration_ms"] < 10_000
        if path != "/livez":
            assert line["client"] == "203.0.113.9"
    assert "secret" not in server.log


def test_every_line_is_json(server: RealServer) -> None:
    other = [line for line in server.log.splitlines() if line and not line.startswith("{")]
    assert len(other) == 2  # the setup link
    assert any("Booting worker" in line["message"] for line in lines(server))
    os.kill(server.workers[0], signal.SIGKILL)
    wait_until(lambda: len(server.workers) == 2)
    wait_until(server.is_ready)


def test_secrets_are_not_logged(server: RealServer) -> None:
    [link] = server.setup_links
    secret = link.rpartition("/")[2]
    token = server.create_token()
    headers = as_device(token, "secret-phone") | {"Cookie": "session=secret-cookie"}
    server.call("POST", UPLOADS, headers | {"Content-Type": "application/json"}, b'"secret-body"')
    server.call("POST", UPLOADS, headers | {"Content-Type": "application/json"}, b"secret-body")
    server.call("POST", "/login", headers, b"email=a@b.c&password=secret-password")
    for path in (
        *(f"/setup/{secret}", f"//setup//{secret}", f"/%73etup/{secret}", f"/x/{token}"),
        *(f"/setup/%20{secret}", f"/setup/'{secret}", f"/setup/./{secret}", f"/SETUP/{secret}"),
        *(f"/reset-password/{secret}", f"//reset-password//{secret}"),
    ):
        server.call("GET", path)
    wait_until(lambda: sum("method" in line for line in lines(server)) >= 14)
    log = server.log.replace(link, "")
    for text in ("secret-", secret, token[8:]):
        assert text not in log
    assert "/setup/***" in log
    assert "/reset-password/***" in log


def test_access_log_is_off_by_default(make_server: StartServer) -> None:
    with make_server() as server:
        server.call("GET", "/none")
    assert "/none" not in server.log
    assert " INFO Booting worker with pid: " in server.log


def test_path_cannot_forge_a_line(make_server: StartServer) -> None:
    with make_server(APIDEVICES_ACCESS_LOG="true") as server:
        server.call("GET", "/a%0d%0a2030-01-01T00:00:00Z%20forged%1b[31m%C3%A9")
    [line] = [line for line in server.log.splitlines() if "forged" in line]
    assert r"GET /a\r\n2030-01-01T00:00:00Z forged\x1b[31mé 404 " in line


def test_error_in_a_thread_of_the_gate_has_the_request_id(make_server: StartServer) -> None:
    with make_server(APIDEVICES_PROXIES="1") as server:
        headers = as_device(server.create_token()) | {"X-Request-ID": "id-1"}
        with closing(sqlite3.connect(server.instance / "apidevices.sqlite3")) as other:
            other.isolation_level = None
            other.execute("BEGIN IMMEDIATE")  # no device can be registered
            assert server.call("GET", "/verify", headers).status == 503
    [line] = [line for line in server.log.splitlines() if line.endswith("[id-1]")]
    assert "The database is unavailable" in line
