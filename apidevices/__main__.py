"""The ``apidevices`` program: run the standalone application or one of its commands."""

import os
import sys
from importlib import import_module

import click
from flask.cli import ScriptInfo

try:
    from apidevices.standalone import demo as demo_server
    from apidevices.standalone.commands import StandaloneGroup, group
    from apidevices.standalone.settings import IS_INSTALLED
except ModuleNotFoundError as error:
    sys.exit(
        f"The standalone application needs {error.name}. Run: pip install 'apidevices[standalone]'"
    )

# app.py is at the top of a checkout, but inside the installed package.
standalone = import_module("apidevices.app" if IS_INSTALLED else "app")


@click.group(
    cls=StandaloneGroup,
    commands=group.commands,
    invoke_without_command=True,
    help=f"{group.help} Without a command, run the server.",
)
@click.pass_context
def main(context: click.Context) -> None:
    """Run the server if no command is given."""
    os.environ["FLASK_RUN_FROM_CLI"] = "true"  # as the `flask` command does
    context.obj = ScriptInfo(create_app=standalone.create_app)
    if context.invoked_subcommand is None:
        standalone.main()


@main.command(with_appcontext=False)
def serve() -> None:
    """Migrate the database and run the server."""
    standalone.main()


@main.command(with_appcontext=False)
def demo() -> None:
    """Run a demo with simulated devices until Ctrl+C. Stores nothing permanently."""
    demo_server.run(standalone.create_app)


if __name__ == "__main__":
    main()
