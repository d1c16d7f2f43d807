"""Whoever installs the wheel gets the whole product."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from harness.real_server import ROOT, RealServer, clean_environment
from tests.conftest import DEVICE, as_device


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=clean_environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the standalone application."""
    folder = tmp_path_factory.mktemp("installed")
    return environment(folder, "-c", ROOT / "constraints.txt", f"{wheel}[standalone,postgresql]")


@pytest.fixture(scope="module")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the extension alone."""
    folder = tmp_path_factory.mktemp("core")
    return environment(folder, "-c", ROOT / "constraints.txt", wheel)


def environment(folder: Path, *arguments: str | Path) -> Path:
    """Make an environment and return its programs."""
    folder.mkdir(exist_ok=True)
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    programs = folder / "bin"
    pip = (programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, *arguments, cwd=folder)
    return programs


def files(folder: str) -> set[str]:
    """Return the files below a folder of the checkout that belong to the product."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_has_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    moved = {"app.py"} | files("templates") | files("static") | files("migrations")
    assert len(moved) > 10
    assert {f"apidevices/{name}" for name in moved} <= names
    assert files("apidevices") <= names


def test_wheel_has_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"apidevices"}


HOST = """
from flask import Blueprint, Flask, redirect, session

app = Flask(__name__)
app.config.update(SECRET_KEY="of the host")
db = "sqlite:///devices.sqlite3"
api = Blueprint("api", __name__, url_prefix="/api")

@api.get("/ping")
def ping():
    return {}

%s
app.register_blueprint(api)
"""

VISIT = """
import re
from host import app

client, phone = app.test_client(), {"X-Device-ID": "phone-1"}
page = "/settings/api-devices/1"

def change(what):
    token = re.search('name="csrf_token" value="(.+?)"', client.get(page).text)[1]
    assert client.post(f"{page}/{what}", data={"csrf_token": token}).status_code == 303

def ping():
    return client.get("/api/ping", headers=phone).status_code

assert ping() == 200
assert client.get("/settings/api-devices").location == "/login"
with client.session_transaction() as session:
    session["admin"] = True
assert "phone-1" in client.get("/settings/api-devices").text
change("block")
assert ping() == 403
change("unblock")
assert ping() == 200
"""


def five_lines(document: str) -> str:
    [found] = re.findall(
        r"```python\n(from apidevices import APIDevices\n.*?)```",
        (ROOT / document).read_text(),
        re.DOTALL,
    )
    return str(found)


@pytest.mark.parametrize("document", ["README.md", "docs/flask.md"])
def test_five_lines_are_enough(core: Path, tmp_path: Path, document: str) -> None:
    run_five_lines(core, tmp_path, document)
    tables = run(core / "python", "-c", TABLES, cwd=tmp_path)
    assert "apidevices_devices" in tables
    assert "users" not in tables
    assert "uploads" not in tables


TABLES = """
from sqlalchemy import create_engine, inspect
print(*inspect(create_engine("sqlite:///devices.sqlite3")).get_table_names())
"""


def test_extension_alone_is_small(core: Path, tmp_path: Path) -> None:
    listed = run(core / "python", "-m", "pip", "list", "--format=freeze", cwd=tmp_path)
    names = {line.partition("==")[0].lower() for line in listed.splitlines()}
    names -= {"pip", "setuptools"}
    assert len(names) <= 25, names
    assert not names & {"flask-security", "gunicorn", "psycopg", "flask-migrate", "argon2-cffi"}


def test_host_has_only_commands_that_work_there(core: Path, tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(HOST % five_lines("README.md"))
    offered = run(core / "flask", "--app", "host", "apidevices", "--help", cwd=tmp_path)
    assert "block" in offered
    for command in ("create-user", "simulate", "create-token"):
        assert command not in offered


def test_program_says_what_it_lacks(core: Path, tmp_path: Path) -> None:
    done = subprocess.run([core / "apidevices"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'apidevices[standalone]'" in done.stderr
    assert "Traceback" not in done.stderr


def run_five_lines(programs: Path, folder: Path, document: str) -> None:
    """Make the host of a document in a folder, migrate and use it."""
    (folder / "host.py").write_text(HOST % five_lines(document))
    run(programs / "flask", "--app", "host", "apidevices", "upgrade", cwd=folder)
    run(programs / "python", "-c", VISIT, cwd=folder)


SERVE = [("apidevices", "serve"), ("python", "-m", "apidevices")]


@pytest.mark.parametrize("command", SERVE)
def test_installed_wheel_serves(installed: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    server = RealServer(
        tmp_path / "instance",
        program=(str(installed / command[0]), *command[1:]),
        flask=(str(installed / "apidevices"),),
    )
    with server:
        options = ("ann@example.org", "--password-stdin")
        made = server.flask("create-user", *options, stdin="long enough")
        assert made.returncode == 0, made.stderr
        token = server.flask("create-token", "x").stdout.strip()
        assert server.call("GET", DEVICE, as_device(token)).status == 200
        assert "phone-1" in server.flask("list").stdout
        assert is_healthy(installed, server.port)
    assert not is_healthy(installed, server.port)


def is_healthy(programs: Path, port: int) -> bool:
    """Ask as a container is asked."""
    [check] = re.findall(r"^    CMD (\[.+\])$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    name, *arguments = json.loads(check)
    asked = subprocess.run(
        [programs / name, *arguments], env={"PORT": str(port)}, capture_output=True
    )
    return asked.returncode == 0


OLDEST = ROOT / "tests" / "oldest.txt"


def test_floors_are_the_oldest_versions_that_are_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line.partition("#")[0].strip() for line in OLDEST.read_text().splitlines()]
    tested = {
        pin.name.lower(): pin.specifier
        for pin in map(Requirement, filter(None, lines))
        if pin.marker is None or pin.marker.evaluate({"python_version": "3.11"})
    }
    for wanted in map(Requirement, project["dependencies"]):
        floors = [part.version for part in wanted.specifier if part.operator == ">="]
        if wanted.name in tested:
            assert floors, wanted
            assert tested[wanted.name].contains(floors[0]), wanted


def test_hosts_run_with_the_oldest_versions(wheel: Path, tmp_path: Path) -> None:
    programs = environment(tmp_path / "environment", "--no-deps", "-r", OLDEST, wheel)
    run_five_lines(programs, tmp_path, "README.md")
    # From the checkout, where the tests are; of it they use the same files as the wheel has.
    options = ("-q", "-p", "no:cacheprovider", "--basetemp", tmp_path / "tests")
    run(programs / "python", "-m", "pytest", *options, "tests/host", cwd=ROOT)


def test_installed_wheel_runs_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    server = RealServer(
        tmp_path / "instance",
        program=(str(installed / "python"), "-m", "apidevices.app"),
        flask=(str(installed / "flask"), "--app", "apidevices.app"),
    )
    with server:
        assert server.setup_links
        token = server.create_token("x")
        answer = server.call("GET", DEVICE, as_device(token, model="iPhone 14"))
        assert (answer.status, answer.json["model"]) == (200, "iPhone 14")
        page = server.call("GET", "/login")
        assert (page.status, b"<form" in page.body) == (200, True)
        assert server.call("GET", "/settings/api-devices/static/app.css").status == 200
