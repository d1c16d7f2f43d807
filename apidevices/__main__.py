"""``apidevices``, or ``python -m apidevices``: the standalone application and its commands."""

import os
import sys
from importlib import import_module

import click
from flask.cli import ScriptInfo

from apidevices.toolkit import Group

try:
    from apidevices.standalone import demo as made_up
    from apidevices.standalone.commands import group
    from apidevices.standalone.settings import IS_INSTALLED
except ModuleNotFoundError as error:
    sys.exit(f"The standalone application needs {error.name}: pip install 'apidevices[standalone]'")

# A checkout has app.py at its top, an installed package inside.
standalone = import_module("apidevices.app" if IS_INSTALLED else "app")


@click.group(
    cls=Group,
    commands=group.commands,
    invoke_without_command=True,
    help=f"{group.help} Without a command: serve.",
)
@click.pass_context
def main(context: click.Context) -> None:
    """Serve, unless there is something else to do."""
    os.environ["FLASK_RUN_FROM_CLI"] = "true"  # as the `flask` command does
    context.obj = ScriptInfo(create_app=standalone.create_app)
    if context.invoked_subcommand is None:
        standalone.main()


@main.command(with_appcontext=False)
def serve() -> None:
    """Migrate the database and become the server."""
    standalone.main()


@main.command(with_appcontext=False)
def demo() -> None:
    """Serve made-up devices from a temporary folder until Ctrl+C, to try things out."""
    made_up.run(standalone.create_app)


if __name__ == "__main__":
    main()
