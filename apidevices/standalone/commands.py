"""What the standalone application adds to ``flask apidevices``: accounts."""

import sys

import click
from flask import Flask
from flask.cli import with_appcontext

from apidevices import audit, clock, state
from apidevices.standalone import accounts


def init_app(app: Flask) -> None:
    """Add the commands to the extension's own."""
    group = app.cli.commands["apidevices"]
    assert isinstance(group, click.Group)  # noqa: S101 - for the type checker
    group.add_command(create_user)


@click.command()
@with_appcontext
@click.argument("email")
@click.option("--role", default=accounts.ADMIN, show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def create_user(email: str, role: str, password_stdin: bool) -> None:
    """Create an account for the admin pages."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    user = accounts.create(
        state.database(), email, password, role=role, actor=audit.COMMAND_LINE, now=clock.now()
    )
    click.echo(f"{user.email} can sign in")
