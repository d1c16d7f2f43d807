"""Fixtures that run the published client snippets."""

import importlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.clients.driver import call_with_python
from tests.clients.scenarios import Call, Client
from tests.clients.snippets import go_snippet, javascript, python, shell_function

HERE = Path(__file__).parent
TIMEOUT_S = 120  # the first compilation takes longest

RUN_MODULE = """
import {{ drive }} from "./driver.mjs";
import * as snippet from "./{name}.mjs";
import {{ readFileSync }} from "node:fs";
const result = await drive(snippet, JSON.parse(readFileSync(0, "utf-8")));
console.log(JSON.stringify(result));
"""


def require(program: str) -> str:
    """Return the path of a program. Skip the test without it, except in CI."""
    found = shutil.which(program)
    if found is None:
        _skip_or_fail(f"{program} is not installed.")
    return str(found)


def _skip_or_fail(reason: str) -> None:
    if "CI" in os.environ:
        pytest.fail(f"{reason} These tests must run in CI.", pytrace=False)
    pytest.skip(reason)


def run(*command: str | Path, call: Call | None = None, cwd: Path | None = None) -> str:
    """Run a program and return its output."""
    done = subprocess.run(
        command,
        input=None if call is None else json.dumps(asdict(call)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session", params=["requests", "httpx", "aiohttp", "fetch", "axios", "go"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Each published snippet that needs no browser, except the one for curl."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(f"client-{name}")
    if name == "go":
        return _go_client(folder)
    if name in ("fetch", "axios"):
        return _node_client(name, folder)
    return _python_client(name)


def _python_client(library: str) -> Client:
    for module in (library, *(["httpx_retries"] if library == "httpx" else [])):
        try:
            importlib.import_module(module)
        except ImportError:
            _skip_or_fail(f"{module} is not installed.")
    return lambda call: call_with_python(library, python(library), call)


def _node_client(name: str, folder: Path) -> Client:
    node = require("node")
    shutil.copy(HERE / "driver.mjs", folder)
    if name == "axios":
        shutil.copy(HERE / "package.json", folder)
        run(require("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", cwd=folder)
    (folder / f"{name}.mjs").write_text(javascript(name))
    (folder / "main.mjs").write_text(RUN_MODULE.format(name=name))
    return _command_client([node, folder / "main.mjs"])


def _go_client(folder: Path) -> Client:
    (folder / "go.mod").write_text("module example.com/client\n\ngo 1.19\n")
    (folder / "client.go").write_text(go_snippet())
    shutil.copy(HERE / "driver.go", folder)
    run(require("go"), "build", "-o", "client", ".", cwd=folder)
    return _command_client([folder / "client"])


def _command_client(command: list[str | Path]) -> Client:
    def client(call: Call) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(run(*command, call=call))
        return result

    return client


@pytest.fixture
def curl() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The published shell function, with additional arguments for curl."""
    bash = require("bash")
    require("curl")

    def call_api(call: Call, *arguments: str) -> subprocess.CompletedProcess[str]:
        variables = {"TOKEN": call.token, "DEVICE_ID": call.device_id, "MODEL": call.model}
        return subprocess.run(
            [bash, "-c", f'{shell_function()}\ncall_api "$@"', "bash", call.url, *arguments],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )

    return call_api
