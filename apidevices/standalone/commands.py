"""What the standalone application adds to ``flask apidevices``: accounts and a made-up fleet."""

import sys

import click
from flask import Flask
from flask.cli import with_appcontext

from apidevices.standalone import accounts
from apidevices.standalone.simulation import Fleet, run
from apidevices.toolkit import Group, audit, clock, commands, existing_database, fail, print_table


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
        existing_database(), email, password, role=role, actor=audit.COMMAND_LINE, now=clock.now()
    )
    click.echo(f"{user.email} can sign in")


@click.command()
@click.option("--url", required=True, help="URL of the server, e.g. http://127.0.0.1:8000.")
@click.option("--token", required=True, help="API token to call with.")
@click.option("--devices", "size", type=click.IntRange(1, 100_000), default=50, show_default=True)
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
@click.option("--seed", type=int, help="The same number gives the same fleet.")
def simulate(
    url: str, token: str, size: int, rate: float, seconds: float, seed: int | None
) -> None:
    """Call an API from made-up devices, over real HTTP: for trying it out and for demos."""
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter("must start with http:// or https://", param_hint="--url")
    total = max(1, round(rate * seconds))
    label = f"{size} devices" if sys.stderr.isatty() else None
    with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        answers = run(
            Fleet(size, seed), url=url, token=token, rate=rate, total=total, on_answer=bar.update
        )
    print_table(["Answer", "Requests"], sorted(answers.items()))
    if not any(answer.startswith("2") for answer in answers):
        fail("No request was accepted. Check the URL and the token.")


group = Group(
    commands.name,
    commands={**commands.commands, "create-user": create_user, "simulate": simulate},
    help=commands.help,
)


def init_app(app: Flask) -> None:
    """Replace the extension's group of commands by one with all of them."""
    app.cli.add_command(group)
