"""``flask apidevices …`` with a database."""

import subprocess
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from apidevices import audit, tokens
from apidevices.database import Database
from apidevices.models import AuditEntry
from apidevices.standalone.models import User
from harness.real_server import FLASK
from tests.command_line import Cli
from tests.conftest import DEVICE, DEVICES, NOON, FakeClock, Register, as_device, state_of


@pytest.fixture
def cli(app: Flask) -> Cli:
    return Cli(app)


# --- devices -----------------------------------------------------------------------------------


def test_list_prints_a_table(cli: Cli, register: Register) -> None:
    register("phone-1", NOON, application="Box Office", application_version="6.1")
    register("phone-2", NOON + timedelta(hours=1), manufacturer="Xiaomi", model="红米")
    header, _, first, second = cli.succeed("list").splitlines()
    assert header.split("  ")[0] == "Name"
    assert first.split() == [
        "phone-2",
        "Xiaomi",
        "红米",
        "2030-05-17",
        "13:00:00",
        "UTC",
        "active",
    ]
    assert "Box Office 6.1" in second
    cli.succeed("rename", "phone-1", "Front desk")
    assert "Front desk (phone-1)  Box Office 6.1" in cli.succeed("list")


def test_list_prints_json(cli: Cli, register: Register) -> None:
    register("phone-1", model="红米")
    [device] = cli.json("list")
    assert (device["identifier"], device["model"]) == ("phone-1", "红米")
    assert device["last_active_at"] == "2030-05-17T12:00:00.000000Z"


def test_list_prints_csv(cli: Cli, register: Register) -> None:
    register("phone-1", application="=1+1")
    header, row = cli.succeed("list", "--csv").splitlines()
    assert header.startswith("\ufeffid,identifier,name,")
    assert row.startswith("1,phone-1,,phone-1,'=1+1,")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), {"Phone_1", "phone-2"}),
        (("--name", "_"), {"Phone_1"}),
        (("--status", "active"), {"Phone_1"}),
        (("--status", "blocked"), {"phone-2"}),
        (("--name", "PHONE", "--status", "blocked"), {"phone-2"}),
        (("--name", "till"), set()),
    ],
)
def test_list_options_filter_devices(
    cli: Cli, register: Register, options: tuple[str, ...], found: set[str]
) -> None:
    register("Phone_1")
    register("phone-2")
    cli.succeed("block", "phone-2")
    assert {device["identifier"] for device in cli.json("list", *options)} == found


def test_show_json_equals_the_api_response(
    cli: Cli, client: FlaskClient, app: Flask, register: Register
) -> None:
    device_id = register("phone-1", model="iPhone 14")
    db = state_of(app).db
    _, token = tokens.issue(db, "test", ["devices:read"], actor="ann", now=NOON)
    response = client.get(f"{DEVICES}/{device_id}", headers=as_device(token, None))
    assert cli.json("show", "phone-1") == response.json


def test_show_omits_unknown_fields(cli: Cli, register: Register) -> None:
    register("phone-1", model="iPhone 14")
    shown = dict(line.split(maxsplit=1) for line in cli.succeed("show", "phone-1").splitlines())
    assert shown["model"] == "iPhone 14"
    assert "manufacturer" not in shown


def test_history_shows_old_and_new_values(cli: Cli, register: Register) -> None:
    register("phone-1", os_version="18")
    register("phone-1", os_version="26")
    changed, registered = cli.json("history", "phone-1")
    assert changed["changes"] == {"os_version": {"old": "18", "new": "26"}}
    assert registered["kind"] == "registered"
    assert "os_version: 18 -> 26" in cli.succeed("history", "phone-1")


def test_history_is_not_limited_to_one_page(cli: Cli, register: Register) -> None:
    for version in range(60):
        register("phone-1", os_version=str(version))
    assert len(cli.json("history", "phone-1")) == 60


def test_rename_sets_and_removes_the_name(cli: Cli, register: Register) -> None:
    register("phone-1")
    assert "Box Office" in cli.succeed("rename", "phone-1", "Box Office")
    assert cli.json("show", "phone-1")["display_name"] == "Box Office"
    cli.succeed("rename", "phone-1", "")
    assert cli.json("show", "phone-1")["name"] is None


def test_blocked_device_gets_403_until_it_is_unblocked(cli: Cli, client: FlaskClient) -> None:
    token = cli.succeed("create-token", "test").strip()
    client.get(DEVICE, headers=as_device(token))
    cli.succeed("block", "phone-1", "--reason", "lost")
    assert cli.json("show", "phone-1")["block_reason"] == "lost"
    assert client.get(DEVICE, headers=as_device(token)).status_code == 403
    cli.succeed("unblock", "phone-1")
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200


def test_block_prints_the_time_of_the_block(
    cli: Cli, register: Register, fake_clock: FakeClock
) -> None:
    register("phone-1")
    fake_clock.set(NOON)
    blocked = "phone-1 has been blocked since 2030-05-17 12:00:00 UTC\n"
    assert cli.succeed("block", "phone-1") == blocked
    fake_clock.set(NOON + timedelta(days=1))
    assert cli.succeed("block", "phone-1") == blocked
    assert cli.succeed("unblock", "phone-1") == "phone-1 is unblocked\n"


def test_audit_log_names_the_command_line(cli: Cli, db: Database, register: Register) -> None:
    register("phone-1")
    cli.succeed("block", "phone-1")
    with db.read() as session:
        query = select(AuditEntry.actor).where(AuditEntry.action == "device.blocked")
        assert session.scalar(query) == audit.COMMAND_LINE


# --- tokens ------------------------------------------------------------------------------------


def test_create_token_prints_only_the_token(cli: Cli, client: FlaskClient) -> None:
    [token] = cli.succeed("create-token", "test").splitlines()
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200


def test_created_token_is_limited_to_its_scopes(cli: Cli, client: FlaskClient) -> None:
    printed = cli.succeed("create-token", "test", "--scope", "devices:read")
    headers = as_device(printed.strip(), None)
    assert client.get(DEVICES, headers=headers).status_code == 200
    assert client.post(f"{DEVICES}/1/block", headers=headers).status_code == 403


def test_created_token_expires(cli: Cli, client: FlaskClient, fake_clock: FakeClock) -> None:
    fake_clock.set(NOON)
    token = cli.succeed("create-token", "test", "--expires-days", "2").strip()
    fake_clock.set(NOON + timedelta(days=2, seconds=-1))
    assert client.get(DEVICE, headers=as_device(token)).status_code == 200
    fake_clock.set(NOON + timedelta(days=2))
    assert client.get(DEVICE, headers=as_device(token)).status_code == 401


def test_created_token_requires_an_identifier_and_has_its_limit(
    cli: Cli, client: FlaskClient
) -> None:
    options = ("--require-device-id", "--new-devices-per-hour", "1")
    token = cli.succeed("create-token", "test", *options).strip()
    assert client.get("/api/v1/other", headers=as_device(token, None)).status_code == 400
    statuses = [client.get(DEVICE, headers=as_device(token, name)).status_code for name in "ab"]
    assert statuses == [200, 429]


@pytest.mark.parametrize("by", ["name", "prefix", "token"])
def test_revoked_token_gets_401(cli: Cli, client: FlaskClient, by: str) -> None:
    token = cli.succeed("create-token", "box office").strip()
    cli.succeed("create-token", "other")
    argument = {"name": "box office", "prefix": token[:10], "token": token}[by]
    assert cli.succeed("revoke-token", argument) == "box office has been revoked\n"
    assert client.get(DEVICE, headers=as_device(token)).status_code == 401


# --- accounts ----------------------------------------------------------------------------------


def users(db: Database) -> list[str]:
    with db.read() as session:
        return list(session.scalars(select(User.email)))


def test_create_user_reads_the_password_from_stdin(cli: Cli, db: Database) -> None:
    arguments = ("create-user", "ann@example.com", "--role", "admin", "--password-stdin")
    assert "ann@example.com" in cli.succeed(*arguments, stdin="correct horse\n")
    assert users(db) == ["ann@example.com"]


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("arguments", "password"),
    [
        pytest.param(("bob@example.com",), "short", id="short password"),
        pytest.param(("bob@example.com",), "", id="no password"),
        pytest.param(("bob",), "correct horse", id="not an address"),
        pytest.param(("ann@example.com",), "correct horse", id="account exists"),
        pytest.param(("ANN@example.com",), "correct horse", id="account exists in another case"),
        pytest.param(("bob@example.com", "--role", "king"), "correct horse", id="unknown role"),
    ],
)
def test_create_user_rejects_invalid_input(
    cli: Cli, db: Database, arguments: tuple[str, ...], password: str
) -> None:
    cli.succeed("create-user", "ann@example.com", "--password-stdin", stdin="correct horse\n")
    cli.fail("create-user", *arguments, "--password-stdin", stdin=f"{password}\n")
    assert users(db) == ["ann@example.com"]


def test_create_user_rejects_an_invalid_address_before_the_password_prompt(cli: Cli) -> None:
    assert cli.fail("create-user", "bob") == "This is not an email address."


# --- errors ------------------------------------------------------------------------------------


def test_error_names_the_unknown_device(cli: Cli) -> None:
    assert cli.fail("show", "nope") == "No device has the identifier 'nope'."


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("show", "phone-7"), id="show"),
        pytest.param(("show", "phone-7", "--json"), id="show as JSON"),
        pytest.param(("show", "\x00"), id="show invalid identifier"),
        pytest.param(("history", "phone-7"), id="history"),
        pytest.param(("rename", "phone-7", "x"), id="rename"),
        pytest.param(("block", "phone-7"), id="block"),
        pytest.param(("unblock", "phone-7"), id="unblock"),
        pytest.param(("rename", "phone-1", "x" * 256), id="name too long"),
        pytest.param(("block", "phone-1", "--reason", "x" * 1001), id="reason too long"),
        pytest.param(("create-token", ""), id="token without a name"),
        pytest.param(("create-token", "x", "--scope", "devices:eat"), id="unknown scope"),
        pytest.param(("revoke-token", "x"), id="unknown token"),
    ],
)
def test_failed_command_exits_with_1_and_prints_one_line(
    cli: Cli, register: Register, arguments: tuple[str, ...]
) -> None:
    register("phone-1")
    assert cli.fail(*arguments)


def test_simulate_fails_if_the_server_is_unreachable(cli: Cli) -> None:
    result = cli.run("simulate", "--url", "http://127.0.0.1:1", "--token", "x", "--seconds", "0.1")
    assert result.exit_code == 1
    assert "no response" in result.stdout
    assert "No request succeeded" in result.stderr.splitlines()[-1]


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("show",), id="missing argument"),
        pytest.param(("list", "phone-1"), id="extra argument"),
        pytest.param(("list", "--status", "asleep"), id="unknown choice"),
        pytest.param(("list", "--page", "2"), id="unknown option"),
        pytest.param(("forget", "phone-1"), id="unknown command"),
        pytest.param(("create-token", "x", "--expires-days", "0"), id="number too small"),
        pytest.param(("simulate", "--token", "x"), id="missing option"),
    ],
)
def test_usage_error_exits_with_2(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli.run(*arguments).exit_code == 2


# --- standard output ---------------------------------------------------------------------------


@pytest.mark.database("sqlite")
def test_token_that_could_not_be_printed_is_revoked(app: Flask, db: Database) -> None:
    with open("/dev/full", "w") as full_disk:
        done = subprocess.run(
            [*FLASK, "apidevices", "create-token", "lost"],
            stdout=full_disk,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, "Could not finish: No space left on device\n")
    [token] = tokens.all_tokens(db)
    assert token.revoked_at is not None
