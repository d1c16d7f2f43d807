"""The standalone application's own commands: accounts, simulated devices, and all migrations."""

import sys

import click
from flask import Flask
from flask.cli import with_appcontext

from apidevices.standalone import account_commands, migrations
from apidevices.standalone.simulation import Fleet, run
from apidevices.toolkit import Group, commands, fail, print_table


class StandaloneGroup(Group):
    """A group of commands that names the standalone application's settings in errors."""

    database_settings = "DATABASE_URL and APIDEVICES_INSTANCE"


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
        **account_commands.COMMANDS,
        "simulate": simulate,
        "upgrade": upgrade,
    },
    help="Show and change devices, manage API tokens and accounts, show the audit log.",
)


def init_app(app: Flask) -> None:
    """Replace the extension's command group with one that has the standalone commands as well."""
    app.cli.add_command(group)
