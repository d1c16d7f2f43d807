"""Fixtures that run the published client snippets."""

import importlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.clients.driver import call_with_python
from tests.clients.scenarios import Call, Client
from tests.clients.snippets import go_snippet, javascript, kotlin_snippet, python, shell_function
from tests.programs import install_npm_packages, require, skip_or_fail

HERE = Path(__file__).parent
JARS = ("okhttp.jar", "okio.jar", "com.android.json.jar", "kotlin-stdlib.jar")
JAVA = Path("/usr/share/java")  # where Debian's packages put JAR files

TIMEOUT_S = 120  # the first compilation takes longest

RUN_MODULE = """
import {{ drive }} from "./driver.mjs";
import * as snippet from "./{name}.mjs";
import {{ readFileSync }} from "node:fs";
const result = await drive(snippet, JSON.parse(readFileSync(0, "utf-8")));
console.log(JSON.stringify(result));
"""


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


CLIENTS = ["requests", "httpx", "aiohttp", "fetch", "axios", "go", "kotlin"]


@pytest.fixture(scope="session", params=CLIENTS)
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """Each published snippet that needs no browser, except the one for curl."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(f"client-{name}")
    if name == "kotlin":
        with _kotlin_client(folder) as client:
            yield client
    elif name == "go":
        yield _go_client(folder)
    elif name in ("fetch", "axios"):
        yield _node_client(name, folder)
    else:
        yield _python_client(name)


def _python_client(library: str) -> Client:
    for module in (library, *(["httpx_retries"] if library == "httpx" else [])):
        try:
            importlib.import_module(module)
        except ImportError:
            skip_or_fail(f"{module} is not installed.")
    return lambda call: call_with_python(library, python(library), call)


def _node_client(name: str, folder: Path) -> Client:
    node = require("node")
    shutil.copy(HERE / "driver.mjs", folder)
    if name == "axios":
        install_npm_packages(HERE / "package.json", folder)
    (folder / f"{name}.mjs").write_text(javascript(name))
    (folder / "main.mjs").write_text(RUN_MODULE.format(name=name))
    return _command_client([node, folder / "main.mjs"])


def _go_client(folder: Path) -> Client:
    (folder / "go.mod").write_text("module example.com/client\n\ngo 1.19\n")
    (folder / "client.go").write_text(go_snippet())
    shutil.copy(HERE / "driver.go", folder)
    run(require("go"), "build", "-o", "client", ".", cwd=folder)
    return _command_client([folder / "client"])


@contextmanager
def _kotlin_client(folder: Path) -> Iterator[Client]:
    """One Java process for all calls, because starting it takes longer than a call."""
    compiler, java = require("kotlinc"), require("java")
    jars = [JAVA / jar for jar in JARS]
    for jar in jars:
        if not jar.exists():
            skip_or_fail(f"{jar} is not installed.")
    classpath = ":".join(map(str, [folder, *jars]))
    (folder / "Client.kt").write_text(kotlin_snippet())
    shutil.copy(HERE / "driver.kt", folder / "Driver.kt")
    sources = (folder / "Client.kt", folder / "Driver.kt")
    run(compiler, "-classpath", classpath, "-d", folder, *sources)
    with subprocess.Popen(
        [java, "-Dfile.encoding=UTF-8", "-classpath", classpath, "DriverKt"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        requests, results = process.stdin, process.stdout
        assert requests is not None
        assert results is not None

        def client(call: Call) -> dict[str, Any]:
            print(json.dumps(asdict(call)), file=requests, flush=True)
            result: dict[str, Any] = json.loads(results.readline())
            return result

        yield client
        requests.close()


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
