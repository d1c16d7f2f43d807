"""``flask apidevices``: filters of devices, changes of all that match, and deletion."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import tokens
from apidevices.cli import filters
from apidevices.database import Database
from apidevices.models import DeviceTag
from tests.command_line import Cli
from tests.conftest import DEVICE, NOON, FakeClock, Register, as_device, state_of


@pytest.fixture
def cli(app: Flask) -> Cli:
    return Cli(app)


@pytest.fixture
def flood(
    app: Flask, cli: Cli, client: FlaskClient, fake_clock: FakeClock, register: Register
) -> str:
    """Two devices of the token "copied", after the device "phone-1". Return the token."""
    register("phone-1", NOON)
    fake_clock.set(NOON + timedelta(hours=1))
    token = cli.succeed("create-token", "copied").strip()
    for number in range(2):
        client.get(DEVICE, headers=as_device(token, f"flood-{number}"))
    state_of(app).activity.flush()
    return token


def listed(cli: Cli, *options: str) -> set[str]:
    return {device["identifier"] for device in cli.json("list", *options)}


AFTER = ("--registered-after", "2030-05-17T14:30:00+02:00")


def test_list_keeps_devices_of_a_token_and_a_time(cli: Cli, db: Database, flood: str) -> None:
    every = {"phone-1", "flood-0", "flood-1"}
    token_id = tokens.find(db, "copied").id
    assert listed(cli) == every
    assert listed(cli, *AFTER) == every - {"phone-1"}
    for reference in ("copied", flood[:10], flood, str(token_id)):
        assert listed(cli, "--token", reference) == every - {"phone-1"}
    cli.succeed("revoke-token", "copied")
    assert listed(cli, "--token", "copied", *AFTER) == every - {"phone-1"}


def test_list_takes_every_filter_and_an_order(cli: Cli, db: Database, register: Register) -> None:
    for number in range(3):
        version = f"2.{number + 9}"
        register(f"phone-{number}", application="Box Office", application_version=version)
    with db.write() as session:
        session.add_all(
            DeviceTag(device_id=device_id, key=key, tag=key)
            for device_id, key in ((1, "a"), (1, "b"), (2, "a"))
        )
    older = ("--application", "box office", "--version-below", "2.11")
    assert listed(cli, *older) == {"phone-0", "phone-1"}
    assert listed(cli, "--tag", "A", "--tag", "b", "--unnamed") == {"phone-0"}
    assert listed(cli, "--denied") == set()
    by_name = [device["identifier"] for device in cli.json("list", "--sort", "-name", *older)]
    assert by_name == ["phone-1", "phone-0"]


def test_flood_is_blocked_unblocked_and_deleted_by_filters(cli: Cli, flood: str) -> None:
    options = ("--token", "copied", *AFTER)
    blocked = cli.succeed("block", *options, "--expected", "2", "--reason", "flood")
    assert blocked == "2 devices have been blocked\n"
    assert listed(cli, "--status", "blocked") == {"flood-0", "flood-1"}
    assert cli.json("show", "flood-0")["block_reason"] == "flood"
    assert cli.succeed("unblock", *options, "--name", "-1", "--yes") == (
        "1 device has been unblocked\n"
    )
    assert listed(cli, "--status", "blocked") == {"flood-0"}
    assert cli.succeed("delete", *options, "--yes") == "2 devices have been deleted\n"
    assert listed(cli) == {"phone-1"}


@pytest.mark.parametrize("command", ["block", "unblock", "delete"])
def test_unexpected_number_of_matches_changes_nothing(cli: Cli, flood: str, command: str) -> None:
    before = cli.json("list")
    error = cli.fail(command, "--token", "copied", "--expected", "3")
    assert error == "The filter matches 2 devices, not 3. Nothing was changed."
    assert cli.json("list") == before


@pytest.mark.database("sqlite")
def test_single_match_is_counted_in_the_singular(cli: Cli, flood: str) -> None:
    error = cli.fail("block", "--name", "phone", "--expected", "2")
    assert error == "The filter matches 1 device, not 2. Nothing was changed."


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("command", ["block", "unblock", "delete"])
def test_without_a_terminal_a_filter_needs_a_confirmation(
    cli: Cli, flood: str, command: str
) -> None:
    before = cli.json("list")
    error = cli.fail(command, "--token", "copied")
    assert error == f"2 devices match. {command.title()} them? Confirm with --yes."
    assert cli.json("list") == before


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(("answer", "left"), [("y\n", {"phone-1"}), ("n\n", None)])
def test_command_shows_the_number_of_matches_and_asks(
    cli: Cli, flood: str, monkeypatch: pytest.MonkeyPatch, answer: str, left: set[str] | None
) -> None:
    before = listed(cli)
    monkeypatch.setattr(filters, "is_terminal", lambda: True)
    result = cli.run("delete", "--token", "copied", stdin=answer)
    assert "2 devices match. Delete them? [y/N]" in result.stdout
    assert result.exit_code == (1 if left is None else 0)
    assert listed(cli) == (before if left is None else left)


def test_delete_removes_one_device(cli: Cli, register: Register) -> None:
    register("phone-1")
    assert cli.fail("delete", "phone-1") == (
        "Delete phone-1 with its history and uploads? Confirm with --yes."
    )
    assert cli.succeed("delete", "phone-1", "--yes") == "phone-1 has been deleted\n"
    assert cli.fail("delete", "phone-1", "--yes") == "No device has the identifier 'phone-1'."


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("block",), id="neither identifier nor filters"),
        pytest.param(("delete", "--yes"), id="confirmation alone"),
        pytest.param(("delete", "phone-1", "--token", "copied", "--yes"), id="both"),
        pytest.param(("unblock", "phone-1", "--expected", "1"), id="number without filters"),
        pytest.param(("list", "--token", "unknown"), id="unknown token"),
        pytest.param(("list", "--token", "9" * 5_000), id="huge token id"),
        pytest.param(("list", "--registered-after", "yesterday"), id="not a time"),
        pytest.param(("list", "--registered-after", "2030-05-17T12:00:00"), id="no time zone"),
        pytest.param(("list", "--status", "asleep"), id="unknown status"),
        pytest.param(("list", "--sort", "price"), id="unknown order"),
        pytest.param(("list", "--inactive-days", "0"), id="no days"),
        pytest.param(("list", "--version-below", "2.0"), id="version without an application"),
        pytest.param(("list", "--tag", ""), id="empty tag"),
    ],
)
def test_wrong_choice_of_devices_exits_with_2(
    cli: Cli, flood: str, arguments: tuple[str, ...]
) -> None:
    result = cli.run(*arguments)
    assert result.exit_code == 2, result.output
    assert listed(cli, "--status", "active") == {"phone-1", "flood-0", "flood-1"}
