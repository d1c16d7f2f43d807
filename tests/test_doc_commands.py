"""Each command in the documents is run, or is known to be run by another test."""

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
from tests.conftest import DEVICE, StartServer, as_device, only

ELSEWHERE = {
    "git clone … apidevices && cd apidevices": "how this checkout came to be",
    "make run": "tests/server starts what it starts",
    "make demo": "tests/server/test_demo.py starts what it starts",
    "make test": "this is it",
    "pip install apidevices": "test_wheel.py installs the wheel",
    "python examples/box_office/app.py": "test_examples.py starts it",
    "flask apidevices upgrade": "test_wheel.py runs it in a host",
    "createuser apidevices --pwprompt": "PostgreSQL's own",
    "createdb apidevices --owner=apidevices": "PostgreSQL's own",
    "sqlite3 instance/apidevices.sqlite3 \".backup 'backup.sqlite3'\"": "SQLite's own",
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
    if command not in ELSEWHERE and document != "quickstart.md"
]


def test_what_runs_elsewhere_is_still_in_the_documents() -> None:
    assert {command for _, command in commands()} >= ELSEWHERE.keys()


@pytest.fixture(scope="session")
def token(server: RealServer) -> str:
    made = server.create_token("of the documents", "devices:read", "devices:write")
    for number in range(3):
        server.call("GET", DEVICE, as_device(made, f"documented-{number}"))
    return made


@pytest.mark.parametrize(
    ("document", "command"), RUN_HERE, ids=[f"{name}: {text[:40]}" for name, text in RUN_HERE]
)
def test_command_does_what_it_is_for(
    server: RealServer, token: str, tmp_path: Path, document: str, command: str
) -> None:
    command = command.replace("http://127.0.0.1:8000", server.url)
    if variables := re.fullmatch(r"((?:[A-Z_]+=\S+ )+)make run", command):
        given = dict(variable.split("=", 1) for variable in variables[1].split())
        known = {f"APIDEVICES_{name.upper()}" for name in Settings.model_fields}
        with only(given):
            ServerSettings.from_environ()
        assert set(given) <= known | {name.upper() for name in ServerSettings.model_fields}
        return
    if "flask apidevices" in command:
        (tmp_path / "password.txt").write_text("correct horse battery\n")
        words = [word.replace("$TOKEN", token) for word in shlex.split(command)]
        typed = (tmp_path / words[-1]).read_text() if "<" in words else ""
        words = words[1 : words.index("<")] if "<" in words else words[1:]
        if "simulate" in words:
            words += ["--rate", "50", "--seconds", "1"]  # rather than without end
        done = server.flask(*words, stdin=typed)
        assert done.returncode == 0, done.stderr
        return
    assert command.startswith("curl "), f"nothing runs this command of {document}"
    answer = curl(server, token, command)
    # The one condition that is quoted is of nobody's device.
    assert answer.get("code") == ("precondition_failed" if "If-Match" in command else None)


def test_quickstart_leads_from_nothing_to_a_device_that_is_shut_out(
    make_server: StartServer,
) -> None:
    steps = [command for document, command in commands() if document == "quickstart.md"]
    clone, start, make_token, call, see, shut_out, call_as_another, let_in = steps
    assert {clone, start} <= ELSEWHERE.keys()
    with make_server() as server:

        def flask(command: str) -> str:
            done = server.flask(*shlex.split(command)[1:])
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        token = flask(make_token)
        assert curl(server, token, call)["identifier"] == "my-first-device"
        assert "my-first-device" in flask(see)
        flask(shut_out)
        assert curl(server, token, call)["code"] == "device_blocked"
        assert curl(server, token, call_as_another)["identifier"] == "my-second-device"
        flask(let_in)
        assert curl(server, token, call)["status"] == "active"


def curl(server: RealServer, token: str, command: str) -> dict[str, Any]:
    """Run a command that asks the server, and return its answer."""
    command = command.replace("http://127.0.0.1:8000", server.url)
    asked = subprocess.run(
        ["bash", "-c", f"{command} --silent --show-error"],
        env={**os.environ, "TOKEN": token},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert asked.returncode == 0, asked.stderr
    answer: dict[str, Any] = json.loads(asked.stdout)
    return answer
