"""Run every command in the documentation that no other test runs."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from apidevices.config import Settings
from apidevices.standalone.settings import ServerSettings
from harness.real_server import ROOT, RealServer
from tests.conftest import DEVICE, DEVICES, StartServer, as_device, only_settings

# Other tests run the same commands on both kinds of database.
pytestmark = pytest.mark.database("sqlite")

NOT_RUN_HERE = {
    "git clone <repository URL> apidevices && cd apidevices": "creates this checkout",
    "make run": "tests/server/test_start.py runs the same program",
    "make demo": "tests/server/test_demo.py runs the same program",
    "make test": "runs this test",
    "pip install apidevices": "tests/test_wheel.py installs the wheel",
    "python examples/box_office/app.py": "tests/test_examples.py runs it",
    'flask apidevices revoke-token "box office"': "tests/test_cli.py revokes tokens",
    'flask apidevices list --token "box office" --registered-after 2026-11-26T02:00:00Z': (
        "tests/test_cli_bulk.py lists the devices of a token"
    ),
    'flask apidevices delete --token "box office" --registered-after 2026-11-26T02:00:00Z': (
        "tests/test_cli_bulk.py deletes them"
    ),
    "curl -X POST http://127.0.0.1:8000/api/v1/devices/delete"
    ' -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json"'
    ' -d \'{"filter": {"token": 2, "registered_after": "2026-11-26T02:00:00Z"},'
    ' "expected": 50}\'': ("tests/management_api/test_bulk_changes.py deletes by the same filter"),
    "flask apidevices upgrade": "tests/test_wheel.py runs it in a host",
    "createuser apidevices --pwprompt": "part of PostgreSQL",
    "createdb apidevices --owner=apidevices": "part of PostgreSQL",
    "sqlite3 instance/apidevices.sqlite3 \".backup 'backup.sqlite3'\"": "part of SQLite",
}


def commands() -> list[tuple[str, str]]:
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in re.findall(r"```console\n(.*?)```", path.read_text(), re.DOTALL):
            for command in re.split(r"^ *\$ ", block, flags=re.MULTILINE)[1:]:
                found.append((path.name, " ".join(command.replace("\\\n", " ").split())))
    return found


RUN_HERE = [
    (document, command)
    for document, command in commands()
    if command not in NOT_RUN_HERE and document != "quickstart.md"
]


def test_every_command_in_the_list_of_exceptions_is_documented() -> None:
    assert {command for _, command in commands()} >= NOT_RUN_HERE.keys()


@pytest.fixture(scope="session")
def token(server: RealServer) -> str:
    token = server.create_token("documentation", "devices:read", "devices:write")
    for identifier in ("my-first-device", "my-fourth-device", "my-old-device", "my-new-device"):
        server.call("GET", DEVICE, as_device(token, identifier))
    return token


@pytest.fixture(scope="session")
def ids(server: RealServer, token: str) -> dict[str, str]:
    """Documented ids of devices, and the ids of this server to use instead."""

    def id_of(identifier: str) -> int:
        found = server.call("GET", f"{DEVICES}?name={identifier}", as_device(token, "documented"))
        [device] = found.json["devices"]
        return int(device["id"])

    return {
        "/devices/1": f"/devices/{id_of('my-first-device')}",
        '"from": 4': f'"from": {id_of("my-fourth-device")}',
    }


@pytest.mark.parametrize(
    ("document", "command"), RUN_HERE, ids=[f"{name}: {text[:40]}" for name, text in RUN_HERE]
)
def test_documented_command_works(
    server: RealServer,
    token: str,
    ids: dict[str, str],
    tmp_path: Path,
    document: str,
    command: str,
) -> None:
    command = command.replace("http://127.0.0.1:8000", server.url)
    if variables := re.fullmatch(r"((?:[A-Z_]+=\S+ )+)make run", command):
        values = dict(variable.split("=", 1) for variable in variables[1].split())
        known = {f"APIDEVICES_{name.upper()}" for name in Settings.model_fields}
        with only_settings(values):
            ServerSettings.from_environ()
        assert set(values) <= known | {name.upper() for name in ServerSettings.model_fields}
        return
    if "flask apidevices" in command:
        (tmp_path / "password.txt").write_text("correct horse battery\n")
        words = [word.replace("$TOKEN", token) for word in shlex.split(command)]
        stdin = (tmp_path / words[-1]).read_text() if "<" in words else ""
        words = words[1 : words.index("<")] if "<" in words else words[1:]
        if "simulate" in words:
            words += ["--rate", "50", "--seconds", "1"]  # instead of the default 30 seconds
        done = server.flask(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return
    assert command.startswith("curl "), f"no test runs this command from {document}"
    for documented, existing in ids.items():
        command = command.replace(documented, existing)
    response = curl(server, token, command)
    # The documented ETag matches no device of this test.
    assert response.get("code") == ("precondition_failed" if "If-Match" in command else None)


def test_quickstart_steps_block_and_unblock_a_device(
    make_server: StartServer,
) -> None:
    steps = [command for document, command in commands() if document == "quickstart.md"]
    clone, start, create_token, call, show, block, call_as_other_device, unblock = steps
    assert {clone, start} <= NOT_RUN_HERE.keys()
    with make_server() as server:

        def flask(command: str) -> str:
            done = server.flask(*shlex.split(command)[1:])
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        token = flask(create_token)
        assert curl(server, token, call)["identifier"] == "my-first-device"
        assert "my-first-device" in flask(show)
        flask(block)
        assert curl(server, token, call)["code"] == "device_blocked"
        assert curl(server, token, call_as_other_device)["identifier"] == "my-second-device"
        flask(unblock)
        assert curl(server, token, call)["status"] == "active"


def curl(server: RealServer, token: str, command: str) -> dict[str, Any]:
    """Run a documented curl command against the server and return the parsed response."""
    command = command.replace("http://127.0.0.1:8000", server.url)
    done = subprocess.run(
        ["bash", "-c", f"{command} --silent --show-error"],
        env={**os.environ, "TOKEN": token},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    response: dict[str, Any] = json.loads(done.stdout)
    return response
