"""The description of the API is true: tried by schemathesis, and by a client made from it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from harness.real_server import RealServer
from tests.conftest import DEVICE, StartServer, as_device

DESCRIPTION = "/api/openapi.json"
HERE = Path(__file__).parent


@pytest.fixture
def described(client: FlaskClient) -> dict[str, Any]:
    answer = client.get(DESCRIPTION)
    assert answer.status_code == 200
    document: dict[str, Any] = answer.get_json()
    return document


@pytest.mark.database("sqlite")
def test_it_is_openapi_3_1(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(described).validate()


@pytest.mark.database("sqlite")
def test_it_has_every_route_of_the_api(app: Flask, described: dict[str, Any]) -> None:
    there = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/v1/")
    }
    said = {(path, way.upper()) for path, ways in described["paths"].items() for way in ways}
    assert said == there


@pytest.mark.database("sqlite")
def test_every_error_is_a_problem(described: dict[str, Any]) -> None:
    for operation in (way for ways in described["paths"].values() for way in ways.values()):
        problems = {int(status) for status in operation["responses"] if int(status) >= 400}
        assert {401, 403, 500, 503} <= problems
        for status in problems - {414, 431}:  # these are the server's
            assert list(operation["responses"][str(status)]["content"]) == [
                "application/problem+json"
            ]


@pytest.fixture
def server(make_server: StartServer) -> RealServer:
    return make_server()


def token_with_devices(server: RealServer) -> str:
    token = server.create_token("management", "devices:read", "devices:write")
    for number in range(3):
        server.call("GET", DEVICE, as_device(token, f"phone-{number}"))
    return token


@pytest.mark.database("sqlite")
def test_nothing_contradicts_it(server: RealServer, tmp_path: Path) -> None:
    with server:
        token = token_with_devices(server)
        found = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "--config-file"),
                *(HERE / "schemathesis.toml", "run", f"{server.url}{DESCRIPTION}"),
                *("--header", f"Authorization: Bearer {token}"),
                *("--checks", "all", "--max-examples", "150", "--seed", "7", "--no-color"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert found.returncode == 0, found.stdout + found.stderr
    cases = re.search(r"(\d+) generated", found.stdout)
    assert cases is not None
    assert int(cases[1]) >= 2000


PROGRAM = """
import sys
from made.api_devices_client import AuthenticatedClient
from made.api_devices_client.api.management import (
    block_device, list_devices, rename_device, unblock_device,
)
from made.api_devices_client.models import Block, Rename

with AuthenticatedClient(sys.argv[1], sys.argv[2]) as client:
    [device] = list_devices.sync(client=client, name="phone-1").devices
    assert device.identifier == "phone-1"
    renamed = rename_device.sync(device.id, client=client, body=Rename(name="West door"))
    assert renamed.display_name == "West door"
    blocked = block_device.sync(device.id, client=client, body=Block(reason="lost"))
    assert (blocked.status, blocked.block_reason) == ("blocked", "lost")
    assert unblock_device.sync(device.id, client=client).status == "active"
"""


def test_a_client_made_from_it_works(
    server: RealServer, described: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(described))
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    made = subprocess.run(
        [
            *(Path(sys.executable).with_name("openapi-python-client"), "generate"),
            *("--path", "openapi.json", "--config", "config.yaml", "--output-path", "made"),
            "--fail-on-warning",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    with server:
        token = token_with_devices(server)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, server.url, token],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
