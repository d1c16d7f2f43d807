"""``apidevices``, or ``python -m apidevices``: the standalone application and its commands."""

from importlib import import_module

import click
from flask.cli import ScriptInfo

from apidevices import cli, paths
from apidevices.standalone import demo as made_up
from apidevices.standalone.commands import create_user

# A checkout has app.py at its top, an installed package inside.
standalone = import_module("apidevices.app" if paths.IS_INSTALLED else "app")


@click.group(
    cls=cli.Group,
    commands={**cli.commands.commands, "create-user": create_user},
    invoke_without_command=True,
    help=f"{cli.commands.help} Without a command: serve.",
)
@click.pass_context
def main(context: click.Context) -> None:
    """Serve, unless there is something else to do."""
    context.obj = ScriptInfo(create_app=standalone.create_app)
    if context.invoked_subcommand is None:
        standalone.main()


@main.command()
def serve() -> None:
    """Migrate the database and become the server."""
    standalone.main()


@main.command()
def demo() -> None:
    """Serve made-up devices from a temporary folder until Ctrl+C, to try things out."""
    made_up.run(standalone.create_app)


if __name__ == "__main__":
    main()
