"""The API matches its OpenAPI document, as checked by Schemathesis and a generated client."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from harness.real_server import UNLIMITED, RealServer
from tests.conftest import DEVICE, StartServer, as_device

DOCUMENT = "/api/openapi.json"
HERE = Path(__file__).parent


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    response = client.get(DOCUMENT)
    assert response.status_code == 200
    content: dict[str, Any] = response.get_json()
    return content


@pytest.mark.database("sqlite")
def test_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


@pytest.mark.database("sqlite")
def test_document_has_every_route_of_the_api(app: Flask, document: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/v1/")
    }
    documented = {
        (path, method.upper())
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert documented == routes


@pytest.mark.database("sqlite")
def test_every_documented_error_is_a_problem(document: dict[str, Any]) -> None:
    operations = (each for path in document["paths"].values() for each in path.values())
    for operation in operations:
        problems = {int(status) for status in operation["responses"] if int(status) >= 400}
        assert {401, 403, 429, 500, 503} <= problems
        for status in problems - {414, 431}:  # sent by the WSGI server
            assert list(operation["responses"][str(status)]["content"]) == [
                "application/problem+json"
            ]


@pytest.fixture
def server(make_server: StartServer) -> RealServer:
    return make_server(**UNLIMITED)


def token_with_devices(server: RealServer) -> str:
    token = server.create_token("management", "devices:read", "devices:write")
    for number in range(3):
        server.call("GET", DEVICE, as_device(token, f"phone-{number}"))
    return token


@pytest.mark.database("sqlite")
def test_api_conforms_to_document_according_to_schemathesis(
    server: RealServer, tmp_path: Path
) -> None:
    with server:
        token = token_with_devices(server)
        result = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "--config-file"),
                *(HERE / "schemathesis.toml", "run", f"{server.url}{DOCUMENT}"),
                *("--header", f"Authorization: Bearer {token}"),
                *("--checks", "all", "--max-examples", "10", "--seed", "7", "--no-color"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stdout + result.stderr
    cases = re.search(r"(\d+) generated", result.stdout)
    assert cases is not None
    assert int(cases[1]) >= 1500


PROGRAM = """
import sys
from generated.api_devices_client import AuthenticatedClient
from generated.api_devices_client.api.management import (
    block_device, list_devices, unblock_device, update_device,
)
from generated.api_devices_client.models import Block, DeviceChanges

with AuthenticatedClient(sys.argv[1], sys.argv[2]) as client:
    [device] = list_devices.sync(client=client, name="phone-1").devices
    assert device.identifier == "phone-1"
    changes = DeviceChanges(name="West door", tags=["Team A"])
    changed = update_device.sync(device.id, client=client, body=changes)
    assert (changed.display_name, changed.tags) == ("West door", ["Team A"])
    blocked = block_device.sync(device.id, client=client, body=Block(reason="lost"))
    assert (blocked.status, blocked.block_reason) == ("blocked", "lost")
    assert unblock_device.sync(device.id, client=client).status == "active"
"""


def test_generated_client_can_list_change_block_and_unblock(
    server: RealServer, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    with server:
        (tmp_path / "openapi.json").write_bytes(server.call("GET", DOCUMENT).body)
        generated = subprocess.run(
            [
                *(Path(sys.executable).with_name("openapi-python-client"), "generate"),
                *("--path", "openapi.json", "--config", "config.yaml"),
                *("--output-path", "generated", "--fail-on-warning"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert generated.returncode == 0, generated.stdout + generated.stderr
        token = token_with_devices(server)
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM, server.url, token],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 0, result.stdout + result.stderr
