"""The commands that manage accounts."""

import sys
from typing import Any

import click
from flask.cli import with_appcontext

from apidevices.standalone import accounts
from apidevices.standalone.models import User
from apidevices.standalone.settings import ServerSettings
from apidevices.toolkit import (
    as_json,
    audit_args,
    existing_database,
    print_json,
    print_table,
    rfc3339,
    time_text,
)

_email = click.argument("email")
_password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


@click.command()
@with_appcontext
@_email
@click.option(
    "--role",
    default=accounts.ADMIN,
    show_default=True,
    help=f"Role of the account; `{accounts.ADMIN}` is the only one.",
)
@_password_stdin
def create_user(email: str, role: str, password_stdin: bool) -> None:
    """Create an account for the admin pages."""
    # Fail before the prompt, not after it.
    db = existing_database()
    email = accounts.validate_email(email)
    password = _read_password(from_stdin=password_stdin)
    user = accounts.create(db, email, password, role=role, **audit_args())
    click.echo(f"{user.email} can sign in now")


@click.command()
@with_appcontext
@as_json
def list_users(wants_json: bool) -> None:
    """List accounts."""
    found = accounts.all_users(existing_database())
    if wants_json:
        print_json([_user_json(user) for user in found])
        return
    print_table(
        ["Email", "Role", "Status", "Created"],
        [[user.email, _roles(user), _status(user), time_text(user.created_at)] for user in found],
    )


@click.command()
@with_appcontext
@_email
def disable_user(email: str) -> None:
    """Keep an account from signing in, and end its sessions. Idempotent."""
    user = accounts.disable(existing_database(), email, **audit_args())
    click.echo(f"{user.email} can no longer sign in, and all its sessions have ended")


@click.command()
@with_appcontext
@_email
def enable_user(email: str) -> None:
    """Let a disabled account sign in again. Idempotent."""
    user = accounts.enable(existing_database(), email, **audit_args())
    click.echo(f"{user.email} can sign in again")


@click.command()
@with_appcontext
@_email
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete_user(email: str, yes: bool) -> None:
    """Delete an account. Its entries in the audit log remain."""
    db = existing_database()
    user = accounts.find(db, email)
    if not yes:
        click.confirm(f"Delete the account {user.email}?", abort=True)
    accounts.delete(db, email, **audit_args())
    click.echo(f"{user.email} has been deleted, and all its sessions have ended")


@click.command()
@with_appcontext
@_email
@_password_stdin
def set_password(email: str, password_stdin: bool) -> None:
    """Set the password of an account, and end its sessions."""
    db = existing_database()
    accounts.find(db, email)
    password = _read_password(from_stdin=password_stdin)
    user = accounts.set_password(db, email, password, **audit_args())
    click.echo(f"The password of {user.email} has been set, and all its sessions have ended")
    if not user.active:
        click.echo("The account is still disabled.")


@click.command()
@with_appcontext
@_email
def reset_password(email: str) -> None:
    """Print a link to choose a new password. It works once, for a day."""
    path = accounts.reset_path(existing_database(), email, **audit_args())
    click.echo(f"{ServerSettings.from_environ().address}{path}")


COMMANDS = {
    str(command.name): command
    for command in (
        create_user,
        list_users,
        disable_user,
        enable_user,
        delete_user,
        set_password,
        reset_password,
    )
}


def _read_password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


def _user_json(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "role": _roles(user),
        "status": _status(user),
        "created_at": rfc3339(user.created_at),
    }


def _roles(user: User) -> str:
    return ", ".join(sorted(role.name for role in user.roles))


def _status(user: User) -> str:
    return "active" if user.active else "disabled"
