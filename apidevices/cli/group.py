"""The group of commands: which of them work in an application, and how errors are reported."""

import sys
from io import StringIO
from typing import Any

import click
from flask.cli import AppGroup, ScriptInfo
from sqlalchemy.exc import SQLAlchemyError

from apidevices import audit, clock, state
from apidevices.cli.output import fail
from apidevices.database import Database, is_unavailable, lacks_tables
from apidevices.database.files import sqlite_file
from apidevices.errors import APIDevicesError

UPGRADE = "upgrade"
"""The command that creates and upgrades the tables."""


class DatabaseMissing(APIDevicesError, click.ClickException):
    """The SQLite file does not exist."""


class Group(AppGroup):
    """A group of commands that report errors as one line on stderr."""

    database_settings = "the database URL of the application"
    """The settings that error messages about a missing database refer to."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands that work in this application."""
        return [name for name in super().list_commands(ctx) if _works_here(ctx, name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command if it works in this application."""
        if not _works_here(ctx, cmd_name):
            ctx.fail(f"'{cmd_name}' is not available: this application uses no API Devices tokens.")
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command and turn expected errors into one line and exit status 1."""
        upgrade_command = f"{ctx.command_path} {UPGRADE}"
        try:
            return super().invoke(ctx)
        except DatabaseMissing as error:
            fail(
                f"{error} Check {self.database_settings}, "
                f"or run '{upgrade_command}' to create the database."
            )
        except click.ClickException:
            raise
        except APIDevicesError as error:
            fail(str(error))
        except SQLAlchemyError as error:
            fail(describe_database_error(error, upgrade_command))
        except BrokenPipeError:
            raise  # Click exits quietly
        except OSError as error:  # such as a full disk behind stdout
            sys.stdout = StringIO()  # Python flushes stdout at exit, which would fail again
            fail(f"Could not finish: {error.strerror or error}")


_TOKEN_COMMANDS = ("create-token", "list-tokens", "revoke-token")


def _works_here(ctx: click.Context, name: str) -> bool:
    """Return whether a command works in this application: some need API Devices tokens."""
    info = ctx.find_object(ScriptInfo)
    if name not in _TOKEN_COMMANDS or info is None:
        return True
    with info.load_app().app_context():
        return state.current().uses_tokens


def describe_database_error(error: SQLAlchemyError, upgrade_command: str) -> str:
    """Return an error message for people, with the command to run if tables are missing."""
    reason = getattr(error, "orig", None) or error
    if lacks_tables(error):
        first_line = str(reason).splitlines()[0]
        return f"The database is not migrated: {first_line}. Run '{upgrade_command}'."
    if is_unavailable(error):
        return f"The database is unavailable: {reason}"
    return f"The database reported an error: {reason}"


commands = Group(
    "apidevices", help="Show and change devices, manage API tokens, show the audit log."
)


def existing_database() -> Database:
    """Return the database of the current application.

    Raises:
        DatabaseMissing: It is a SQLite file that does not exist. Connecting would create it.
    """
    db = state.database()
    path = sqlite_file(db.engine.url)
    if path is not None and not path.exists():
        raise DatabaseMissing(f"There is no database at {path.absolute()}.")
    return db


def audit_args() -> dict[str, Any]:
    """Return the arguments ``actor`` and ``now`` of a change from the command line."""
    return {"actor": audit.COMMAND_LINE, "now": clock.now()}
