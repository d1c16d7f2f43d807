"""The start of the server: migrated, with a link for the first account, or one clear line."""

import subprocess
from pathlib import Path

import pytest

from harness.real_server import PROGRAM, RealServer, clean_environment, free_port
from tests.conftest import StartServer


def test_first_start_prints_one_setup_link(make_server: StartServer) -> None:
    with make_server() as server:
        [link] = server.setup_links
        assert link.startswith(f"{server.url}/setup/")
        created = server.flask(
            "apidevices", "create-user", "ann@example.com", "--password-stdin", stdin="long enough"
        )
        assert created.returncode == 0, created.stderr
    with make_server() as server:
        assert server.setup_links == []


def test_start_keeps_a_secret_for_its_owner_only(server: RealServer) -> None:
    assert (server.instance / "secret_key").stat().st_mode & 0o777 == 0o600
    assert len((server.instance / "secret_key").read_text()) >= 32


def test_start_migrates(make_server: StartServer) -> None:
    with make_server() as server:
        assert server.call("GET", "/readyz").status == 200
        assert server.flask("apidevices", "list", "--json").stdout == "[]\n"


def refusal(folder: Path, environment: dict[str, str]) -> str:
    """Start a server that can't be started, and return the one line that says why."""
    started = subprocess.run(
        PROGRAM,
        env=clean_environment(**environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert started.returncode == 1
    assert started.stdout == ""
    [line] = started.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HOST", "no such host"),
        ("PORT", "http"),
        ("WEB_CONCURRENCY", "many"),
        ("DATABASE_URL", "mysql://db.example/devices"),
        ("DATABASE_URL", "sqlite:////no/such/folder/devices.sqlite3"),
        ("DATABASE_URL", "postgresql://127.0.0.1:1/devices"),
        ("APIDEVICES_INSTANCE", "/dev/null/instance"),
        ("APIDEVICES_ACTIVITY_INTERVAL", "60"),
        ("APIDEVICES_TYPO", "1"),
    ],
)
def test_wrong_variable_stops_the_start_with_one_line(
    tmp_path: Path, variable: str, value: str
) -> None:
    usual = {"PORT": str(free_port()), "APIDEVICES_INSTANCE": str(tmp_path / "instance")}
    environment = usual | {variable: value}
    assert variable in refusal(tmp_path, environment).partition(": ")[0]


def test_port_in_use_stops_the_start_with_one_line(server: RealServer, tmp_path: Path) -> None:
    environment = {"PORT": str(server.port), "APIDEVICES_INSTANCE": str(tmp_path / "instance")}
    assert refusal(tmp_path, environment).startswith("HOST, PORT: ")


def test_wrong_variable_stops_a_command_with_one_line(make_server: StartServer) -> None:
    listed = make_server(APIDEVICES_REQUIRE_DEVICE_ID="perhaps").flask("apidevices", "list")
    assert listed.returncode != 0
    [line] = listed.stderr.splitlines()
    assert "APIDEVICES_REQUIRE_DEVICE_ID: " in line


def test_database_is_upgraded_by_hand(make_server: StartServer) -> None:
    server = make_server()
    upgraded = server.flask("db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    assert server.flask("apidevices", "list", "--json").stdout == "[]\n"
