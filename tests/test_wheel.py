"""The installed wheel is complete and works, with and without the extras."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from harness.environments import PIP, build_wheel, run, share_between_workers
from harness.real_server import ROOT, RealServer, clean_environment
from tests.conftest import DEVICE, as_device


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return share_between_workers(tmp_path_factory, "wheel", build_wheel)


@pytest.fixture(scope="module")
def standalone_programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the standalone application."""
    return shared_environment(tmp_path_factory, "standalone", f"{wheel}[standalone,postgresql]")


@pytest.fixture(scope="module")
def core_programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with only the extension."""
    return shared_environment(tmp_path_factory, "core", wheel)


def shared_environment(factory: pytest.TempPathFactory, name: str, package: str | Path) -> Path:
    """Create an environment with the pinned versions, once for all test processes."""
    pinned = ("-c", ROOT / "constraints.txt")
    return share_between_workers(
        factory, f"environment-{name}", lambda folder: environment(folder, *pinned, package)
    )


def environment(folder: Path, *arguments: str | Path) -> Path:
    """Create a virtual environment and return its bin folder."""
    folder.mkdir(exist_ok=True)
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    programs = folder / "bin"
    install = (*PIP, "--python", programs / "python", "install", "--quiet", "--no-compile")
    run(*install, *arguments, cwd=folder)
    return programs


def files(folder: str) -> set[str]:
    """Return all source files below a folder of the checkout."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_contains_every_source_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    moved = {"app.py"} | files("templates") | files("static") | files("migrations")
    assert len(moved) > 10
    assert {f"apidevices/{name}" for name in moved} <= names
    assert files("apidevices") <= names


def test_wheel_contains_only_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        top_level = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in top_level if not top.endswith(".dist-info")} == {"apidevices"}


HOST = """
from flask import Blueprint, Flask, redirect, session

app = Flask(__name__)
app.config.update(SECRET_KEY="host secret")
db = "sqlite:///devices.sqlite3"
api = Blueprint("api", __name__, url_prefix="/api")

@api.get("/ping")
def ping():
    return {}

%s
app.register_blueprint(api)
"""

CALLS = """
import re
from host import app

client, phone = app.test_client(), {"X-Device-ID": "phone-1"}
page = "/settings/api-devices/1"

def submit(form):
    url = f"{page}/{form}"
    token = re.search('name="csrf_token" value="(.+?)"', client.get(url).text)[1]
    assert client.post(url, data={"csrf_token": token}).status_code == 303

def ping():
    return client.get("/api/ping", headers=phone).status_code

assert ping() == 200
assert client.get("/settings/api-devices").location == "/login"
with client.session_transaction() as session:
    session["admin"] = True
assert "phone-1" in client.get("/settings/api-devices").text
submit("block")
assert ping() == 403
submit("unblock")
assert ping() == 200
"""


def documented_lines(document: str) -> str:
    [found] = re.findall(
        r"```python\n(from apidevices import APIDevices\n.*?)```",
        (ROOT / document).read_text(),
        re.DOTALL,
    )
    return str(found)


@pytest.mark.parametrize("document", ["README.md", "docs/flask.md"])
def test_documented_lines_protect_an_api(
    core_programs: Path, tmp_path: Path, document: str
) -> None:
    run_documented_host(core_programs, tmp_path, document)
    tables = run(core_programs / "python", "-c", TABLES, cwd=tmp_path).stdout
    assert "apidevices_devices" in tables
    assert "users" not in tables
    assert "uploads" not in tables


TABLES = """
from sqlalchemy import create_engine, inspect
print(*inspect(create_engine("sqlite:///devices.sqlite3")).get_table_names())
"""


def test_extension_installs_few_dependencies(core_programs: Path, tmp_path: Path) -> None:
    pip = (*PIP, "--python", core_programs / "python")
    listed = run(*pip, "list", "--format=freeze", cwd=tmp_path).stdout
    names = {line.partition("==")[0].lower() for line in listed.splitlines()}
    assert len(names) <= 25, names
    assert not names & {"flask-security", "gunicorn", "psycopg", "flask-migrate", "argon2-cffi"}


def test_host_lists_only_commands_that_work_there(core_programs: Path, tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(HOST % documented_lines("README.md"))
    help_command = (core_programs / "flask", "--app", "host", "apidevices", "--help")
    offered = run(*help_command, cwd=tmp_path).stdout
    assert "block" in offered
    for command in ("create-user", "simulate", "create-token"):
        assert command not in offered


def test_program_without_the_standalone_extra_names_the_extra(
    core_programs: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [core_programs / "apidevices"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "pip install 'apidevices[standalone]'" in done.stderr
    assert "Traceback" not in done.stderr


def run_documented_host(programs: Path, folder: Path, document: str) -> None:
    """Create, migrate and use the host application of a document."""
    (folder / "host.py").write_text(HOST % documented_lines(document))
    run(programs / "flask", "--app", "host", "apidevices", "upgrade", cwd=folder)
    run(programs / "python", "-c", CALLS, cwd=folder)


def test_installed_wheel_runs_the_server(standalone_programs: Path, tmp_path: Path) -> None:
    server = RealServer(
        tmp_path / "instance",
        program=(str(standalone_programs / "apidevices"), "serve"),
        flask=(str(standalone_programs / "apidevices"),),
    )
    with server:
        options = ("ann@example.org", "--password-stdin")
        created = server.flask("create-user", *options, stdin="long enough for anyone")
        assert created.returncode == 0, created.stderr
        token = server.flask("create-token", "x").stdout.strip()
        assert server.call("GET", DEVICE, as_device(token)).status == 200
        assert "phone-1" in server.flask("list").stdout
        assert is_healthy(standalone_programs, server.port)
    assert not is_healthy(standalone_programs, server.port)


def is_healthy(programs: Path, port: int) -> bool:
    """Run the health check of the container."""
    [check] = re.findall(r"^    CMD (\[.+\])$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    name, *arguments = json.loads(check)
    result = subprocess.run(
        [programs / name, *arguments], env={"PORT": str(port)}, capture_output=True
    )
    return result.returncode == 0


OLDEST = ROOT / "tests" / "oldest.txt"


def test_minimum_versions_match_the_oldest_tested_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line.partition("#")[0].strip() for line in OLDEST.read_text().splitlines()]
    tested = {
        pin.name.lower(): pin.specifier
        for pin in map(Requirement, filter(None, lines))
        if pin.marker is None or pin.marker.evaluate({"python_version": "3.11"})
    }
    for requirement in map(Requirement, project["dependencies"]):
        floors = [part.version for part in requirement.specifier if part.operator == ">="]
        if requirement.name in tested:
            assert floors, requirement
            assert tested[requirement.name].contains(floors[0]), requirement


@pytest.mark.longest
def test_host_tests_pass_with_the_oldest_versions(wheel: Path, tmp_path: Path) -> None:
    programs = environment(tmp_path / "environment", "--no-deps", "-r", OLDEST, wheel)
    run_documented_host(programs, tmp_path, "README.md")
    # Run in the checkout, which has the tests. Its package has the same files as the wheel.
    options = ("-q", "-p", "no:cacheprovider", "--basetemp", tmp_path / "tests")
    chosen = ("-k", "not postgresql or test_recorded or test_embedded")
    run(programs / "python", "-m", "pytest", *options, *chosen, "tests/host", cwd=ROOT)


@pytest.mark.parametrize(
    "command",
    [
        ("apidevices",),
        ("python", "-m", "apidevices"),
        ("flask", "--app", "apidevices.app", "apidevices"),
    ],
    ids=["apidevices", "module", "flask"],
)
def test_command_outside_a_checkout_names_the_missing_database_and_creates_nothing(
    standalone_programs: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [standalone_programs / command[0], *command[1:], "list"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"There is no database at {tmp_path}/instance/apidevices.sqlite3." in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_installed_wheel_runs_in_an_empty_folder(standalone_programs: Path, tmp_path: Path) -> None:
    server = RealServer(
        tmp_path / "instance",
        program=(str(standalone_programs / "python"), "-m", "apidevices"),
        flask=(str(standalone_programs / "flask"), "--app", "apidevices.app"),
    )
    with server:
        assert server.setup_links
        token = server.create_token("x")
        response = server.call("GET", DEVICE, as_device(token, model="iPhone 14"))
        assert (response.status, response.json["model"]) == (200, "iPhone 14")
        page = server.call("GET", "/login")
        assert (page.status, b"<form" in page.body) == (200, True)
        assert server.call("GET", "/settings/api-devices/static/app.css").status == 200
