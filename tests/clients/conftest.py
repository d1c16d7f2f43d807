"""The published snippets as clients that tests can call."""

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
PATIENCE_S = 120  # compiling for the first time takes longest

RUN_MODULE = """
import {{ drive }} from "./driver.mjs";
import * as snippet from "./{name}.mjs";
import {{ readFileSync }} from "node:fs";
const ended = await drive(snippet, JSON.parse(readFileSync(0, "utf-8")));
console.log(JSON.stringify(ended));
"""


def need(program: str) -> str:
    """Return where a program lies; without it skip, except in CI, where these tests must run."""
    found = shutil.which(program)
    if found is None:
        _absent(f"{program} is not installed.")
    return str(found)


def _absent(reason: str) -> None:
    if "CI" in os.environ:
        pytest.fail(f"{reason} These tests must run in CI.", pytrace=False)
    pytest.skip(reason)


def run(*command: str | Path, call: Call | None = None, cwd: Path | None = None) -> str:
    """Run a program to its end, and return what it printed."""
    done = subprocess.run(
        command,
        input=None if call is None else json.dumps(asdict(call)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session", params=["requests", "httpx", "aiohttp", "fetch", "axios", "go"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Every published snippet that runs without a browser, except curl's, which takes no limits."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(f"client-{name}")
    if name == "go":
        return _in_go(folder)
    if name in ("fetch", "axios"):
        return _in_node(name, folder)
    return _in_python(name)


def _in_python(library: str) -> Client:
    for module in (library, *(["httpx_retries"] if library == "httpx" else [])):
        try:
            importlib.import_module(module)
        except ImportError:
            _absent(f"{module} is not installed.")
    return lambda call: call_with_python(library, python(library), call)


def _in_node(name: str, folder: Path) -> Client:
    node = need("node")
    shutil.copy(HERE / "driver.mjs", folder)
    if name == "axios":
        shutil.copy(HERE / "package.json", folder)
        run(need("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", cwd=folder)
    (folder / f"{name}.mjs").write_text(javascript(name))
    (folder / "main.mjs").write_text(RUN_MODULE.format(name=name))
    return _that_runs([node, folder / "main.mjs"])


def _in_go(folder: Path) -> Client:
    (folder / "go.mod").write_text("module example.com/client\n\ngo 1.19\n")
    (folder / "client.go").write_text(go_snippet())
    shutil.copy(HERE / "driver.go", folder)
    run(need("go"), "build", "-o", "client", ".", cwd=folder)
    return _that_runs([folder / "client"])


def _that_runs(command: list[str | Path]) -> Client:
    def client(call: Call) -> dict[str, Any]:
        ended: dict[str, Any] = json.loads(run(*command, call=call))
        return ended

    return client


@pytest.fixture
def curl() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The published function of the shell, with arguments for curl."""
    bash = need("bash")
    need("curl")

    def call_api(call: Call, *arguments: str) -> subprocess.CompletedProcess[str]:
        given = {"TOKEN": call.token, "DEVICE_ID": call.device_id, "MODEL": call.model}
        return subprocess.run(
            [bash, "-c", f'{shell_function()}\ncall_api "$@"', "bash", call.url, *arguments],
            env=os.environ | given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    return call_api
