"""The snippets of docs/clients.md handle every kind of response as documented."""

import json
import os
import subprocess
import time
from collections.abc import Callable

import pytest

from harness.real_server import RealServer
from tests.clients.scenarios import (
    BLOCKED,
    HTML,
    OK,
    SCENARIOS,
    UNAVAILABLE,
    Call,
    Client,
    Scenario,
    play,
)
from tests.clients.scripted_api import Reply, scripted_api
from tests.conftest import DEVICE, as_device

Curl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_client_handles_the_response(client: Client, scenario: Scenario) -> None:
    play(client, scenario)


def test_client_caps_the_wait_from_retry_after(client: Client) -> None:
    with scripted_api(Reply.problem(503, "40"), OK) as api:
        assert client(Call(api.url, longest_wait=0.1))["outcome"] == "ok"
    assert api.received[1].at - api.received[0].at < 20


def test_client_reports_an_unreachable_server(client: Client) -> None:
    with scripted_api(OK) as api:
        pass
    assert client(Call(api.url))["outcome"] == "unreachable"


@pytest.mark.database("sqlite")
def test_client_detects_blocked_device_and_invalid_token_of_the_real_server(
    client: Client, server: RealServer, token: str
) -> None:
    url = f"{server.url}{DEVICE}"
    call = Call(url, token=token, device_id=f"device-{time.time_ns()}")
    device = client(call)["value"]
    assert (device["application"], device["model"]) == ("Box Office", "Café 设备")
    path = f"/api/v1/devices/{device['id']}/block"
    assert server.call("POST", path, as_device(token, None)).status == 200
    assert client(call)["outcome"] == "blocked"
    assert client(Call(url, token="wrong"))["outcome"] == "sign in"


@pytest.fixture(scope="session")
def token(server: RealServer) -> str:
    return server.create_token("snippets", "devices:read", "devices:write")


# --- curl --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "status", "stdout", "stderr"),
    [
        (OK, 0, OK.body, ""),
        (Reply(204), 0, b"", ""),
        (BLOCKED, 2, b"", "This device was blocked."),
        (Reply.problem(401, code="token_invalid"), 3, b"", "Sign in again."),
        (Reply.problem(403, detail="Orders are closed."), 1, b"", "Orders are closed."),
        (Reply(404, HTML, "text/html"), 1, b"", "HTTP 404"),
    ],
)
def test_curl_handles_the_response(
    curl: Curl, reply: Reply, status: int, stdout: bytes, stderr: str
) -> None:
    with scripted_api(reply) as api:
        done = curl(Call(api.url))
    assert (done.returncode, done.stdout.encode()) == (status, stdout)
    assert stderr in done.stderr
    [request] = api.received
    assert request.headers["x-device-id"] == "front-desk-7"


@pytest.mark.parametrize(
    "first", [UNAVAILABLE, Reply(503, HTML, "text/html", retry_after_date=2.5)], ids=["s", "date"]
)
def test_curl_retries_and_prints_only_the_last_response(curl: Curl, first: Reply) -> None:
    with scripted_api(first, OK) as api:
        done = curl(Call(api.url), "--data", "{}")
    assert json.loads(done.stdout)["id"] == 7
    assert [request.body for request in api.received] == [b"{}", b"{}"]
    assert api.received[1].at - api.received[0].at > 0.95


def test_curl_gives_up_after_four_attempts(curl: Curl) -> None:
    with scripted_api(UNAVAILABLE) as api:
        done = curl(Call(api.url))
    assert (done.returncode, len(api.received)) == (1, 4)
    assert "HTTP 503" in done.stderr


def test_curl_does_not_retry_if_the_wait_would_be_too_long(curl: Curl) -> None:
    with scripted_api(Reply.problem(503, "7200"), OK) as api:
        assert curl(Call(api.url)).returncode == 1
    assert len(api.received) == 1


def test_curl_leaves_no_temporary_files(
    curl: Curl, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with scripted_api(OK) as api:
        assert curl(Call(api.url)).returncode == 0
    assert os.listdir(tmp_path) == []
