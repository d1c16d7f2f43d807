"""Server start: migrations, the setup link, and one-line errors."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.databases import Databases, Variables
from harness.real_server import PROGRAM, RealServer, clean_environment, free_port, wait_until
from tests.conftest import StartServer


@pytest.fixture
def server_database(databases: Databases, tmp_path: Path) -> Iterator[Variables]:
    """A database without tables, for the first start."""
    database = databases.empty(tmp_path / "instance")
    yield database
    databases.drop(database)


@pytest.mark.database("sqlite")
def test_first_start_prints_one_setup_link(make_server: StartServer) -> None:
    with make_server() as server:
        [link] = server.setup_links
        assert link.startswith(f"{server.url}/setup/")
        created = server.flask(
            "apidevices", "create-user", "ann@example.com", "--password-stdin", stdin="long enough!"
        )
        assert created.returncode == 0, created.stderr
    with make_server() as server:
        assert server.setup_links == []


@pytest.mark.database("sqlite")
def test_secret_key_file_is_readable_by_its_owner_only(server: RealServer) -> None:
    assert (server.instance / "secret_key").stat().st_mode & 0o777 == 0o600
    assert len((server.instance / "secret_key").read_text()) >= 32


def test_secret_key_is_stored_before_workers_start(tmp_path: Path) -> None:
    server = RealServer(tmp_path / "instance")
    server.launch()
    try:
        wait_until(lambda: server.workers, 30)
        assert (server.instance / "secret_key").exists()  # so that all workers share it
        wait_until(server.is_ready, 30)
    finally:
        server.stop()


@pytest.mark.database("sqlite")
def test_start_migrates_the_database(make_server: StartServer) -> None:
    with make_server() as server:
        assert server.call("GET", "/readyz").status == 200
        assert server.flask("apidevices", "list", "--json").stdout == "[]\n"


def failed_start(folder: Path, environment: dict[str, str]) -> str:
    """Start a server that must fail to start and return the one line on stderr."""
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
def test_invalid_setting_fails_startup_with_a_one_line_error(
    tmp_path: Path, variable: str, value: str
) -> None:
    valid = {"PORT": str(free_port()), "APIDEVICES_INSTANCE": str(tmp_path / "instance")}
    environment = valid | {variable: value}
    assert variable in failed_start(tmp_path, environment).partition(": ")[0]


@pytest.mark.database("sqlite")
def test_port_in_use_fails_startup_with_a_one_line_error(
    server: RealServer, tmp_path: Path
) -> None:
    environment = {"PORT": str(server.port), "APIDEVICES_INSTANCE": str(tmp_path / "instance")}
    address = f"127.0.0.1:{server.port}"
    assert failed_start(tmp_path, environment) == (
        f"HOST, PORT: can't listen on {address}: Address already in use"
    )


@pytest.mark.database("sqlite")
def test_invalid_setting_fails_a_command_with_a_one_line_error(make_server: StartServer) -> None:
    listed = make_server(APIDEVICES_REQUIRE_DEVICE_ID="perhaps").flask("apidevices", "list")
    assert listed.returncode != 0
    [line] = listed.stderr.splitlines()
    assert "APIDEVICES_REQUIRE_DEVICE_ID: " in line


def test_flask_db_upgrade_migrates_the_database(make_server: StartServer) -> None:
    server = make_server()
    upgraded = server.flask("db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    assert server.flask("apidevices", "list", "--json").stdout == "[]\n"
