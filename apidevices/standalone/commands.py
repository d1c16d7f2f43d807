"""The standalone application's own commands: accounts, simulated devices, and all migrations."""

import sys

import click
from flask import Flask
from flask.cli import with_appcontext

from apidevices.standalone import accounts, migrations
from apidevices.standalone.simulation import Fleet, run
from apidevices.toolkit import (
    Group,
    audit,
    clock,
    commands,
    existing_database,
    fail,
    print_table,
)


class StandaloneGroup(Group):
    """A group of commands that names the standalone application's settings in errors."""

    database_settings = "DATABASE_URL and APIDEVICES_INSTANCE"


@click.command()
@with_appcontext
@click.argument("email")
@click.option(
    "--role",
    default=accounts.ADMIN,
    show_default=True,
    help=f"Role of the account; `{accounts.ADMIN}` is the only one.",
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def create_user(email: str, role: str, password_stdin: bool) -> None:
    """Create an account for the admin pages."""
    # Fail before the prompt, not after it.
    db = existing_database()
    email = accounts.validate_email(email)
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    user = accounts.create(
        db, email, password, role=role, actor=audit.COMMAND_LINE, now=clock.now()
    )
    click.echo(f"{user.email} can sign in now")


@click.command()
@with_appcontext
def upgrade() -> None:
    """Create the database or upgrade its tables."""
    migrations.upgrade()
    click.echo("The tables are up to date.")


@click.command()
@click.option("--url", required=True, help="URL of the server, e.g. http://127.0.0.1:8000.")
@click.option("--token", required=True, help="API token for the requests.")
@click.option(
    "--devices",
    "size",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="Number of devices.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 10_000),
    default=20,
    show_default=True,
    help="Requests per second.",
)
@click.option(
    "--seconds", type=click.FloatRange(0.1, 86_400), default=30, show_default=True, help="Duration."
)
@click.option("--seed", type=int, help="The same seed generates the same devices.")
def simulate(
    url: str, token: str, size: int, rate: float, seconds: float, seed: int | None
) -> None:
    """Send requests from simulated devices.

    For more than 1,000 devices, create a token with --new-devices-per-hour 0.
    """
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter("must start with http:// or https://", param_hint="--url")
    total = max(1, round(rate * seconds))
    label = f"{size} devices" if sys.stderr.isatty() else None
    with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        responses = run(
            Fleet(size, seed), url=url, token=token, rate=rate, total=total, on_response=bar.update
        )
    print_table(["Response", "Requests"], sorted(responses.items()))
    if not any(response.startswith("2") for response in responses):
        fail("No request succeeded. Check the URL and the token.")


group = StandaloneGroup(
    commands.name,
    commands={
        **commands.commands,
        "create-user": create_user,
        "simulate": simulate,
        "upgrade": upgrade,
    },
    help=commands.help,
)


def init_app(app: Flask) -> None:
    """Replace the extension's command group with one that has the standalone commands as well."""
    app.cli.add_command(group)
