"""``flask apidevices``: commands that manage accounts."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import select, update

from apidevices.database import Database
from apidevices.models import AuditEntry
from apidevices.standalone import accounts
from apidevices.standalone.models import User
from apidevices.toolkit import Conflict
from tests.command_line import Cli
from tests.conftest import NOON, FakeClock

ANN, BOB = "ann@example.com", "bob@example.com"
ONLY_ACCOUNT = (
    f"{ANN} is the only account that can sign in. Create or enable another account first."
)


@pytest.fixture
def cli(app: Flask, db: Database, fake_clock: FakeClock) -> Cli:
    """The commands of an application with two accounts. Hashing passwords would be slow."""
    fake_clock.set(NOON)
    with db.write() as session:
        for email in (ANN, BOB):
            unique = {"fs_uniquifier": f"unique-{email}", "created_at": NOON}
            session.add(User(email=email, password="a hash", active=True, roles=[], **unique))
    return Cli(app)


def user(db: Database, email: str) -> User:
    with db.read() as session:
        return session.scalars(select(User).where(User.email == email)).one()


def audit_log(db: Database) -> list[tuple[str, str]]:
    with db.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert all(entry.actor == "the command line" for entry in entries)
    return [(entry.action, entry.details["email"]) for entry in entries]


def test_list_users_prints_tables_and_json(cli: Cli) -> None:
    cli.succeed("disable-user", BOB)
    _, _, ann, bob = cli.succeed("list-users").splitlines()
    assert ann.split() == [ANN, "active", "2030-05-17", "12:00:00", "UTC"]
    assert bob.split()[:2] == [BOB, "disabled"]
    assert cli.json("list-users")[1] == {
        "id": 2,
        "email": BOB,
        "role": "",
        "status": "disabled",
        "created_at": "2030-05-17T12:00:00.000000Z",
    }


def test_disable_and_enable_are_idempotent_and_recorded_once(cli: Cli, db: Database) -> None:
    before = user(db, BOB).fs_uniquifier
    for _ in range(2):
        cli.succeed("disable-user", BOB.upper())
    assert user(db, BOB).active is False
    assert user(db, BOB).fs_uniquifier != before
    for _ in range(2):
        cli.succeed("enable-user", BOB)
    assert user(db, BOB).active is True
    assert audit_log(db) == [("user.disabled", BOB), ("user.enabled", BOB)]


def test_delete_user_asks_first(cli: Cli, db: Database) -> None:
    declined = cli.run("delete-user", BOB, stdin="n\n")
    assert declined.exit_code == 1
    assert user(db, BOB)
    assert "deleted" in cli.succeed("delete-user", BOB, stdin="y\n")
    assert [found["email"] for found in cli.json("list-users")] == [ANN]
    assert audit_log(db) == [("user.deleted", BOB)]


@pytest.mark.parametrize("arguments", [("disable-user",), ("delete-user", "--yes")])
@pytest.mark.parametrize("other", ["disabled", "without password", "deleted"])
def test_last_account_that_can_sign_in_stays(
    cli: Cli, db: Database, arguments: tuple[str, ...], other: str
) -> None:
    if other == "without password":
        with db.write() as session:
            session.execute(update(User).where(User.email == BOB).values(password=None))
    else:
        command = ("disable-user",) if other == "disabled" else ("delete-user", "--yes")
        cli.succeed(*command, BOB)
    assert cli.fail(*arguments, ANN) == ONLY_ACCOUNT
    assert user(db, ANN).active is True


def test_disabled_account_can_be_deleted(cli: Cli, db: Database) -> None:
    cli.succeed("disable-user", BOB)
    cli.succeed("delete-user", BOB, "--yes")
    assert audit_log(db)[-1] == ("user.deleted", BOB)


def test_concurrent_changes_leave_one_account_that_can_sign_in(
    app: Flask, cli: Cli, db: Database
) -> None:
    def disable(email: str) -> bool:
        with app.app_context():
            try:
                accounts.disable(db, email, actor="the test", now=NOON)
            except Conflict:
                return False
        return True

    with ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            assert sorted(threads.map(disable, (ANN, BOB))) == [False, True]
            for email in (ANN, BOB):
                cli.succeed("enable-user", email)


def test_set_password_replaces_the_hash_and_ends_sessions(cli: Cli, db: Database) -> None:
    before = user(db, BOB)
    arguments = ("set-password", BOB, "--password-stdin")
    cli.succeed(*arguments, stdin="correct horse battery staple\n")
    after = user(db, BOB)
    assert after.password is not None
    assert after.password.startswith("$argon2")
    assert after.fs_uniquifier != before.fs_uniquifier
    cli.fail(*arguments, stdin="short\n")
    assert audit_log(db) == [("user.password_set", BOB)]


def test_set_password_says_that_the_account_is_still_disabled(cli: Cli) -> None:
    cli.succeed("disable-user", BOB)
    arguments = ("set-password", BOB, "--password-stdin")
    output = cli.succeed(*arguments, stdin="correct horse battery staple\n")
    assert "still disabled" in output


def test_reset_password_prints_a_link_that_is_not_stored(cli: Cli, db: Database) -> None:
    link = cli.succeed("reset-password", BOB).strip()
    address, _, secret = link.rpartition("/")
    assert address == "http://127.0.0.1:8000/reset-password"
    assert len(secret) == 43
    found = user(db, BOB)
    assert found.reset_digest is not None
    assert len(found.reset_digest) == 32
    assert audit_log(db) == [("user.reset_link_created", BOB)]
    with db.read() as session:
        for table in (User.__table__, AuditEntry.__table__):
            assert secret not in str(session.execute(select(table)).all())


def test_reset_password_rejects_a_disabled_account(cli: Cli) -> None:
    cli.succeed("disable-user", BOB)
    assert cli.fail("reset-password", BOB) == f"{BOB} is disabled. Enable the account first."


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "command", ["disable-user", "enable-user", "delete-user", "set-password", "reset-password"]
)
@pytest.mark.parametrize("email", ["carl@example.com", "carl"])
def test_command_names_an_unknown_account_before_it_asks(
    cli: Cli, command: str, email: str
) -> None:
    assert cli.fail(command, email) == "No account has this email address."
