"""``flask apidevices merge`` and ``unalias``."""

import pytest
from flask import Flask

from apidevices.cli import filters, merging
from tests.command_line import Cli
from tests.conftest import Register

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture
def cli(app: Flask, register: Register) -> Cli:
    for number in (1, 2, 3):
        register(f"phone-{number}")
    return Cli(app)


def test_merged_device_is_found_by_both_identifiers(cli: Cli) -> None:
    cli.succeed("block", "phone-1")
    printed = cli.succeed("merge", "phone-1", "phone-2", "--yes")
    assert printed == "phone-1 is now an alias of phone-2, which is blocked\n"
    shown = cli.json("show", "phone-1")
    assert shown == cli.json("show", "phone-2")
    assert (shown["aliases"], shown["status"]) == (["phone-1"], "blocked")
    assert "aliases" in cli.succeed("show", "phone-2")
    assert "identifier: phone-1" in cli.succeed("history", "phone-1", "--kind", "merged")


def test_merge_asks_people(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.succeed("block", "phone-1")
    question = "Merge phone-1 into phone-2 and block it? You can't undo that."
    monkeypatch.setattr(filters, "is_terminal", lambda: True)
    monkeypatch.setattr(merging, "is_terminal", lambda: True)
    refused = cli.run("merge", "phone-1", "phone-2", stdin="n\n")
    assert (refused.exit_code, question in refused.stdout) == (1, True)
    assert cli.run("merge", "phone-1", "phone-2", stdin="y\n").exit_code == 0


def test_merge_in_a_script_does_not_ask(cli: Cli) -> None:
    assert cli.succeed("merge", "phone-1", "phone-2") == "phone-1 is now an alias of phone-2\n"


@pytest.mark.parametrize(
    ("pair", "error"),
    [
        (("phone-3", "phone-3"), "phone-3 and phone-3 already belong to the same device."),
        (("phone-1", "phone-2"), "phone-1 and phone-2 already belong to the same device."),
        (("phone-9", "phone-2"), "No device has the identifier 'phone-9'."),
    ],
)
def test_impossible_merge_fails(cli: Cli, pair: tuple[str, str], error: str) -> None:
    cli.succeed("merge", "phone-1", "phone-2", "--yes")
    assert cli.fail("merge", *pair, "--yes") == error


def test_alias_can_be_removed_unless_the_device_is_blocked(cli: Cli) -> None:
    cli.succeed("merge", "phone-1", "phone-2", "--yes")
    assert "not an alias" in cli.fail("unalias", "phone-2")
    cli.succeed("block", "phone-1")
    assert "Unblock the device first." in cli.fail("unalias", "phone-1")
    cli.succeed("unblock", "phone-1")
    assert cli.succeed("unalias", "phone-1") == "phone-1 is no longer an alias of phone-2\n"
    assert cli.json("show", "phone-2")["aliases"] == []
    assert "phone-1" in cli.fail("show", "phone-1")
