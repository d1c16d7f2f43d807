"""``flask apidevices audit-log`` and ``list-tokens``."""

from datetime import timedelta

import pytest
from flask import Flask

from apidevices import APIDevices, audit, devices, tokens
from apidevices.database import Database
from apidevices.listing import Filters
from tests.command_line import Cli
from tests.conftest import NOON, FakeClock, Register

HOUR = timedelta(hours=1)


@pytest.fixture
def cli(app: Flask) -> Cli:
    return Cli(app)


def columns(line: str) -> list[str]:
    return [part.strip() for part in line.split("  ") if part.strip()]


def test_audit_log_shows_who_did_what_when(cli: Cli, db: Database, register: Register) -> None:
    device = register("phone-1")
    devices.block(db, device, reason="lost", actor="ann@example.org", now=NOON)
    devices.rename(db, device, "Front desk", actor="token fleet", now=NOON + HOUR)
    header, _, newest, second, *_ = cli.succeed("audit-log").splitlines()
    assert columns(header) == ["When", "Who", "What", "On", "Details"]
    assert columns(newest) == [
        *("2030-05-17 13:00:00 UTC", "token fleet", "renamed"),
        *("device Front desk", "new: Front desk"),
    ]
    assert columns(second) == [
        *("2030-05-17 12:00:00 UTC", "ann@example.org", "blocked"),
        *("device Front desk", "reason: lost"),
    ]


def test_audit_log_prints_json(cli: Cli, db: Database) -> None:
    tokens.issue(db, "fleet", ["devices:read"], actor="ann@example.org", now=NOON)
    [entry] = cli.json("audit-log")
    assert entry == {
        "id": 1,
        "at": "2030-05-17T12:00:00.000000Z",
        "actor": "ann@example.org",
        "action": "token.created",
        "subject": "token:1",
        "details": {"name": "fleet", "scopes": ["devices:read"]},
    }


def test_audit_log_is_limited_to_the_newest_entries(cli: Cli, db: Database) -> None:
    for number in range(3):
        tokens.issue(db, f"token {number}", actor="ann", now=NOON)
    assert [entry["id"] for entry in cli.json("audit-log", "--limit", "2")] == [3, 2]


def test_audit_log_describes_the_filter_of_a_bulk_change(
    cli: Cli, db: Database, register: Register
) -> None:
    register("phone-1")
    chosen = devices.Matching(Filters(name="phone"), None)
    devices.block_all(db, chosen, reason="flood", actor="ann@example.org", now=NOON)
    assert "filter: name phone; number: 1; reason: flood" in cli.succeed("audit-log")


def test_text_in_the_audit_log_does_not_control_the_terminal(cli: Cli, db: Database) -> None:
    with db.write() as session:
        subject = "user:\x1b[2J"
        action = audit.Action.TOKEN_CREATED
        audit.record(session, action, subject, actor="\x1b[31m\nx", at=NOON, email="\x9b2J")
    output = cli.succeed("audit-log")
    assert "\x1b" not in output
    assert "\x9b" not in output
    assert len(output.splitlines()) == 3


def test_audit_log_works_in_a_host_without_tokens(url: str) -> None:
    app = Flask(__name__)
    extension = APIDevices(db=url)
    extension.init_app(app)
    with app.app_context():
        extension.upgrade()
        assert Cli(app).json("audit-log") == []
    assert Cli(app).run("list-tokens").exit_code == 2
    assert "list-tokens" not in Cli(app).run("--help").stdout
    app.extensions["apidevices"].close()


def test_list_tokens_prints_a_table(cli: Cli, db: Database, fake_clock: FakeClock) -> None:
    fake_clock.set(NOON)
    expires_at = NOON + 24 * HOUR
    tokens.issue(db, "fleet", ["devices:read"], expires_at=expires_at, actor="ann", now=NOON)
    token, _ = tokens.issue(db, "old", actor="ann", now=NOON)
    tokens.revoke(db, token.id, actor="ann", now=NOON)
    header, _, fleet, old = cli.succeed("list-tokens").splitlines()
    assert columns(header)[:4] == ["ID", "Name", "Prefix", "Scopes"]
    assert "2030-05-18 12:00:00 UTC" in fleet
    assert columns(fleet)[-2:] == ["active", "default"]
    assert columns(old)[-2:] == ["revoked", "default"]


def test_list_tokens_prints_json_without_secrets(cli: Cli, db: Database) -> None:
    token, text = tokens.issue(db, "fleet", ["devices:read"], actor="ann", now=NOON)
    tokens.seal(db, token.id, text)
    assert cli.json("list-tokens") == [
        {
            "id": 1,
            "name": "fleet",
            "prefix": text[:10],
            "scopes": ["devices:read"],
            "created_at": "2030-05-17T12:00:00.000000Z",
            "created_by": "ann",
            "last_used_at": None,
            "expires_at": None,
            "requires_device_id": False,
            "new_devices_per_hour": None,
            "status": "active",
        }
    ]
