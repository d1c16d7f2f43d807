"""``flask apidevices block`` with an end, and deletions that keep a block."""

import pytest
from flask import Flask

from tests.command_line import Cli
from tests.conftest import Register


@pytest.fixture
def cli(app: Flask) -> Cli:
    return Cli(app)


def test_block_with_an_end_prints_it_and_changes_it(cli: Cli, register: Register) -> None:
    register("phone-1")
    for until in ("2090-05-17T12:00:00Z", "2091-05-17T14:00:00+02:00"):
        printed = cli.succeed("block", "phone-1", "--until", until)
        assert printed.endswith(f" until {until[:4]}-05-17 12:00:00 UTC\n")
    entries = cli.json("history", "phone-1")
    assert [entry["kind"] for entry in entries] == ["blocked", "blocked", "registered"]
    assert entries[0]["details"] == {"reason": None, "until": "2091-05-17T12:00:00.000000Z"}
    assert "until: 2091-05-17T12:00:00.000000Z" in cli.succeed("history", "phone-1")


@pytest.mark.parametrize(
    ("until", "status"), [("2020-05-17T12:00:00Z", 1), ("2090-05-17T12:00:00", 2), ("soon", 2)]
)
def test_block_with_an_invalid_end_fails(
    cli: Cli, register: Register, until: str, status: int
) -> None:
    register("phone-1")
    assert cli.run("block", "phone-1", "--until", until).exit_code == status
    assert cli.json("show", "phone-1")["status"] == "active"


def test_delete_can_keep_the_block(cli: Cli, register: Register) -> None:
    register("phone-1", model="X")
    cli.succeed("block", "phone-1", "--reason", "lost")
    cli.succeed("delete", "phone-1", "--yes", "--keep-block")
    kept = cli.json("show", "phone-1")
    assert (kept["status"], kept["block_reason"], kept["model"]) == ("blocked", "lost", None)


def test_many_devices_are_blocked_until_a_time_and_deleted_with_their_blocks_kept(
    cli: Cli, register: Register
) -> None:
    for number in range(3):
        register(f"phone-{number}")
    options = ("--name", "phone", "--yes")
    printed = cli.succeed("block", *options, "--until", "2090-05-17T12:00:00Z")
    assert printed == "3 devices have been blocked until 2090-05-17 12:00:00 UTC\n"
    assert cli.succeed("delete", *options, "--keep-block") == "3 devices have been deleted\n"
    kept = cli.json("list")
    assert {device["blocked_until"] for device in kept} == {"2090-05-17T12:00:00.000000Z"}
    assert len(kept) == 3
    assert cli.run("block", *options, "--revoke-token", "1").exit_code == 2
