"""``flask db downgrade`` with a question: Flask-Migrate's own command deletes data without one."""

import copy
import sys
from typing import Any

import click
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from apidevices.toolkit import (
    APIDevicesError,
    Downgrade,
    describe_database_error,
    existing_database,
    fail,
    plan_downgrade,
    print_table,
)

GROUP = "db"
"""The name of Flask-Migrate's command group."""


def init_app(app: Flask) -> None:
    """Replace ``downgrade`` in Flask-Migrate's command group of this application only."""
    original = app.cli.commands[GROUP]
    if not isinstance(original, click.Group):
        raise TypeError(f"{original!r} is not a command group")
    group = copy.copy(original)  # Flask-Migrate has one group for all applications
    group.commands = {**original.commands, "downgrade": _asking(original.commands["downgrade"])}
    app.cli.add_command(group, GROUP)


def _asking(original: click.Command) -> click.Command:
    """Return a command with the same options that asks before it runs the original one."""

    @with_appcontext
    @click.pass_context
    def downgrade(context: click.Context, /, *, yes: bool, **options: Any) -> None:
        if not yes and not options["sql"]:
            _confirm(options["revision"])
        context.invoke(original, **options)

    without_question = click.Option(["--yes"], is_flag=True, help="Don't ask. Deletes data.")
    return click.Command(
        "downgrade",
        params=[*original.params, without_question],
        callback=downgrade,
        help="Revert to an older version. Deletes data: lists it and asks first.",
    )


def _confirm(revision: str) -> None:
    """Ask whether to revert to a revision. Exit if the answer is no."""
    if not sys.stdin.isatty():
        fail("A downgrade deletes data. Make a backup, then run the command again with --yes.")
    try:
        planned = plan_downgrade(existing_database(), revision)
    except APIDevicesError as error:
        fail(str(error))
    except SQLAlchemyError as error:
        fail(describe_database_error(error, "flask apidevices upgrade"))
    if planned.migrations:
        _describe(planned)
        click.confirm("There is no undo without a backup. Continue?", abort=True)


def _describe(planned: Downgrade) -> None:
    click.echo("This reverts:\n")
    for migration in planned.migrations:
        click.echo(f"  {migration}")
    if not planned.losses:
        click.echo("\nNo table or column is deleted.\n")
        return
    click.echo("\nThis deletes:\n")
    print_table(["What", "Rows"], [[what, f"{rows:,}"] for what, rows in planned.losses.items()])
    click.echo()
