"""Commands without a usable database report what is missing and create no files."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

from apidevices import APIDevices, ConfigError, clock, devices, tokens
from apidevices.identity import DeviceIdentity
from harness.postgres import Postgres
from harness.real_server import FLASK, clean_environment
from tests.command_line import Cli
from tests.conftest import DEVICES, make_standalone_app, state_of

MakeCliApp = Callable[[], Flask]

COMMANDS = [
    ("list",),
    ("show", "phone-1"),
    ("history", "phone-1"),
    ("rename", "phone-1", "Till"),
    ("block", "phone-1"),
    ("unblock", "phone-1"),
]
STANDALONE_COMMANDS = [
    *COMMANDS,
    ("create-token", "test"),
    ("revoke-token", "test"),
    ("create-user", "ann@example.com", "--password-stdin"),
    ("create-user", "ann@example.com"),  # must fail before the password prompt
]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture
def make_cli_app(instance: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeCliApp]:
    """Create the standalone application the way the ``flask`` command does."""
    monkeypatch.setenv("FLASK_RUN_FROM_CLI", "true")
    apps = []

    def make() -> Flask:
        apps.append(make_standalone_app())
        return apps[-1]

    yield make
    for app in apps:
        state_of(app).close()


# --- the standalone application ----------------------------------------------------------------


@pytest.mark.parametrize("command", STANDALONE_COMMANDS, ids=" ".join)
def test_command_names_the_missing_database_and_creates_nothing(
    make_cli_app: MakeCliApp, instance: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    line = Cli(make_cli_app()).fail(*command)
    assert f"There is no database at {instance}/apidevices.sqlite3." in line
    assert "Check DATABASE_URL and APIDEVICES_INSTANCE" in line
    assert "apidevices upgrade' to create the database" in line
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///other.sqlite3", "instance/other.sqlite3"),
        ("sqlite:///file:other.sqlite3?uri=true", "instance/other.sqlite3"),
        ("sqlite:///{folder}/a b.sqlite3", "a b.sqlite3"),
        ("sqlite:///file:{folder}/a%20b.sqlite3?uri=true", "a b.sqlite3"),
        ("sqlite:///{folder}/no/such/folder/x.sqlite3", "no/such/folder/x.sqlite3"),
    ],
)
def test_missing_database_is_reported_for_every_sqlite_url_form(
    make_cli_app: MakeCliApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, path: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url.replace("{folder}", str(tmp_path)))
    assert f"There is no database at {tmp_path / path}." in Cli(make_cli_app()).fail("list")
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    ("url", "command", "reason"),
    [
        ("postgresql://127.0.0.1:1/devices", "list", "Connection refused"),
        ("postgresql://127.0.0.1:1/devices", "upgrade", "Connection refused"),
        ("sqlite:////dev/null/devices.sqlite3", "upgrade", "unable to open database file"),
    ],
)
def test_unavailable_database_is_reported_and_leaves_no_files(
    make_cli_app: MakeCliApp,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    command: str,
    reason: str,
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    line = Cli(make_cli_app()).fail(command)
    assert line.startswith("The database is unavailable: ")
    assert reason in line
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file:devices?mode=memory&cache=shared&uri=true",
    ],
)
def test_in_memory_database_is_rejected(
    make_cli_app: MakeCliApp, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ConfigError, match=r"DATABASE_URL: .* in-memory"):
        make_cli_app()


def test_upgrade_creates_the_database_and_all_tables(
    make_cli_app: MakeCliApp, instance: Path, tmp_path: Path
) -> None:
    cli = Cli(make_cli_app())
    cli.succeed("upgrade")
    assert cli.json("list") == []
    cli.succeed("create-user", "ann@example.com", "--password-stdin", stdin="correct horse\n")
    assert instance.stat().st_mode & 0o777 == 0o700
    assert "instance/secret_key" not in files(tmp_path)


def test_empty_sqlite_file_is_reported_as_not_migrated(
    make_cli_app: MakeCliApp, instance: Path
) -> None:
    instance.mkdir()
    (instance / "apidevices.sqlite3").touch()
    cli = Cli(make_cli_app())
    line = cli.fail("list")
    assert line.startswith("The database is not migrated: no such table: apidevices_")
    assert line.endswith("apidevices upgrade'.")
    cli.succeed("upgrade")
    assert cli.json("list") == []


def test_empty_postgresql_database_is_reported_as_not_migrated(
    make_cli_app: MakeCliApp, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = postgres.create_database(f"empty_{tmp_path.name}"[:60])
    monkeypatch.setenv("DATABASE_URL", url)
    cli = Cli(make_cli_app())
    assert cli.fail("list").startswith('The database is not migrated: relation "apidevices_')
    cli.succeed("upgrade")
    assert cli.json("list") == []
    assert files(tmp_path) == set()


def test_development_server_creates_the_secret_key_on_the_first_request(
    make_cli_app: MakeCliApp, instance: Path
) -> None:
    app = make_cli_app()
    assert not instance.exists()
    assert app.test_client().get("/livez").status_code == 200
    key = (instance / "secret_key").read_text()
    assert app.secret_key == make_cli_app().secret_key == key


@pytest.mark.parametrize(
    ("command", "status", "created"),
    [
        (("--help",), 0, set()),
        (("routes",), 0, set()),
        (("db", "current"), 1, set()),
        (("apidevices", "list"), 1, set()),
        (("db", "upgrade"), 0, {"instance", "instance/apidevices.sqlite3"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_flask_command_in_an_empty_folder_creates_only_expected_files(
    tmp_path: Path, command: tuple[str, ...], status: int, created: set[str]
) -> None:
    done = subprocess.run(
        [*FLASK, *command],
        cwd=tmp_path,
        env=clean_environment(APIDEVICES_INSTANCE=str(tmp_path / "instance")),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert files(tmp_path) == created


# --- host applications -------------------------------------------------------------------------


def host_with_url(url: str) -> Flask:
    app = Flask("host")
    APIDevices(db=url).init_app(app)
    return app


def host_with_flask_sqlalchemy(url: str) -> Flask:
    app = Flask("host")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db = SQLAlchemy()
    devices = APIDevices(db=db)
    db.init_app(app)
    devices.init_app(app)
    return app


@pytest.mark.parametrize("make_host", [host_with_url, host_with_flask_sqlalchemy])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_command_in_a_host_names_the_missing_database_and_creates_nothing(
    tmp_path: Path, make_host: Callable[[str], Flask], command: tuple[str, ...]
) -> None:
    app = make_host(f"sqlite:///{tmp_path}/host.sqlite3")
    line = Cli(app).fail(*command)
    assert line == (
        f"There is no database at {tmp_path}/host.sqlite3. "
        "Check the database URL of the application, "
        "or run 'host apidevices upgrade' to create the database."
    )
    assert files(tmp_path) == set()
    Cli(app).succeed("upgrade")
    assert Cli(app).json("list") == []
    state_of(app).close()


@pytest.mark.parametrize("url", ["sqlite:///host.sqlite3", "sqlite:///file:host.sqlite3?uri=true"])
def test_relative_path_in_a_host_is_reported_as_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    app = host_with_url(url)
    assert f"There is no database at {tmp_path}/host.sqlite3." in Cli(app).fail("list")
    assert files(tmp_path) == set()


def test_host_can_use_an_in_memory_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = host_with_flask_sqlalchemy("sqlite://")
    assert Cli(app).fail("list").startswith("The database is not migrated: no such table")
    Cli(app).succeed("upgrade")
    assert Cli(app).json("list") == []
    assert files(tmp_path) == set()
    state_of(app).close()


def test_host_cannot_use_an_in_memory_url() -> None:
    with pytest.raises(ConfigError, match=r"db: .* in-memory"):
        host_with_url("sqlite://")


@pytest.mark.parametrize("htmx", [False, True])
def test_admin_page_of_a_host_says_that_its_database_is_not_migrated(
    empty_url: str, htmx: bool
) -> None:
    app = Flask("host")
    app.secret_key = "s" * 32
    extension = APIDevices(db=empty_url, authorize=lambda: True)
    extension.init_app(app)
    app.register_blueprint(extension.admin, url_prefix="/settings")
    headers = {"HX-Request": "true"} if htmx else {}
    response = app.test_client().get("/settings/api-devices", headers=headers)
    assert response.status_code == 503
    assert "apidevices upgrade" in response.text
    assert "apidevices_device" not in response.text
    state_of(app).close()


def test_host_whose_tables_lack_a_column_responds_with_503(url: str) -> None:
    app = Flask("host")
    app.config.update(SECRET_KEY="s" * 32, WTF_CSRF_ENABLED=False)
    extension = APIDevices(db=url, authorize=lambda: True, tokens=True)
    extension.init_app(app)
    app.register_blueprint(extension.admin, url_prefix="/settings")
    app.register_blueprint(extension.api, url_prefix="/api")
    db, client = state_of(app).db, app.test_client()
    phone = DeviceIdentity("phone-1", {})
    reported = devices.report(db, phone, token_id=None, address=None, now=clock.now())
    _, token = tokens.issue(db, "reader", ["devices:read"], actor="ann", now=clock.now())
    page = "/settings/api-devices"
    client.post(f"{page}/{reported.device_id}/name", data={"name": "Till"})  # the page offers Undo
    with db.write() as session:
        session.execute(text("ALTER TABLE apidevices_devices RENAME COLUMN note TO former_note"))
    for headers in ({}, {"HX-Request": "true"}):
        response = client.get(f"{page}/{reported.device_id}", headers=headers)
        assert (response.status_code, "apidevices upgrade" in response.text) == (503, True)
    response = client.get(DEVICES, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 503
    assert response.mimetype == "application/problem+json"
    state_of(app).close()
