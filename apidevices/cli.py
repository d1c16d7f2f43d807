"""``flask apidevices …``: the command line, for people and for scripts.

Exit status: 0 for success, 1 for failure (with one line on stderr), 2 for wrong usage.
"""

import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from io import StringIO
from typing import Any, NoReturn

import click
from flask.cli import AppGroup, ScriptInfo
from sqlalchemy.exc import SQLAlchemyError
from tabulate import tabulate

from apidevices import audit, clock, devices, listing, migration, state, tokens
from apidevices.database import Database, is_unavailable
from apidevices.database.files import sqlite_file
from apidevices.errors import APIDevicesError
from apidevices.identity import DETAILS
from apidevices.listing import Filters
from apidevices.models import Device
from apidevices.representation import device_json, history_json

_MISSING_TABLE_SQLSTATES = ("42P01", "42703")  # undefined_table, undefined_column


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
        upgrade_command = f"{ctx.command_path} {upgrade.name}"
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


_TOKEN_COMMANDS = ("create-token", "revoke-token")


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
    if _lacks_tables(reason):
        first_line = str(reason).splitlines()[0]
        return f"The database is not migrated: {first_line}. Run '{upgrade_command}'."
    if is_unavailable(error):
        return f"The database is unavailable: {reason}"
    return f"The database reported an error: {reason}"


def _lacks_tables(reason: object) -> bool:
    """Return whether a driver's error means that tables or columns are missing."""
    return getattr(reason, "sqlstate", None) in _MISSING_TABLE_SQLSTATES or str(reason).startswith(
        ("no such table", "no such column")
    )


commands = Group("apidevices", help="Show, rename, block and unblock devices; manage API tokens.")

as_json = click.option("--json", "wants_json", is_flag=True, help="Print JSON.")
identifier = click.argument("identifier")


@commands.command("list")
@click.option("--name", default="", help="Part of the name or identifier, not case-sensitive.")
@click.option(
    "--status",
    type=click.Choice(["all", "active", "blocked"]),
    default="all",
    show_default=True,
    help="Which devices to list.",
)
@as_json
def list_devices(name: str, status: listing.Status, wants_json: bool) -> None:
    """List devices, most recently active first."""
    found = listing.find_all(existing_database(), Filters(name, status))
    if wants_json:
        _print_json([device_json(device) for device in found])
        return
    print_table(
        ["Name", "Application", "Manufacturer and model", "Last activity", "Status"],
        [
            [
                device.display_name,
                _joined(device.application, device.application_version),
                _joined(device.manufacturer, device.model),
                _time(device.activity.last_activity_at),
                device.status,
            ]
            for device in found
        ],
    )


@commands.command()
@identifier
@as_json
def show(identifier: str, wants_json: bool) -> None:
    """Show all fields of a device."""
    fields = device_json(_find(identifier))
    if wants_json:
        _print_json(fields)
        return
    rows = [[key.replace("_", " "), value] for key, value in fields.items() if value is not None]
    click.echo(tabulate(rows, tablefmt="plain", disable_numparse=True))


@commands.command()
@identifier
@as_json
def history(identifier: str, wants_json: bool) -> None:
    """Show the registration and changes of a device, newest first."""
    entries = devices.history(existing_database(), _find(identifier).id)
    if wants_json:
        _print_json([history_json(entry) for entry in entries])
        return
    print_table(
        ["When", "What", "Changes", "Token", "Address"],
        [
            [
                _time(entry.at),
                entry.kind,
                "\n".join(
                    f"{field}: {'' if old is None else f'{old} -> '}{new}"
                    for field, (old, new) in sorted(
                        entry.changes.items(), key=lambda change: DETAILS.index(change[0])
                    )
                ),
                entry.token.name if entry.token else "",
                entry.address,
            ]
            for entry in entries
        ],
    )


@commands.command()
@identifier
@click.argument("name")
def rename(identifier: str, name: str) -> None:
    """Set the NAME of a device. An empty NAME removes it."""
    device = devices.rename(existing_database(), _find(identifier).id, name, **_audit_args())
    click.echo(f"{device.identifier} is now shown as {device.display_name}")


@commands.command()
@identifier
@click.option("--reason", help="Shown on the device's page.")
def block(identifier: str, reason: str | None) -> None:
    """Block a device, starting with its next request. Its tokens stay valid. Idempotent."""
    device = devices.block(
        existing_database(), _find(identifier).id, reason=reason, **_audit_args()
    )
    click.echo(f"{device.display_name} has been blocked since {_time(device.blocked_at)}")


@commands.command()
@identifier
def unblock(identifier: str) -> None:
    """Unblock a device, starting with its next request. Idempotent."""
    device = devices.unblock(existing_database(), _find(identifier).id, **_audit_args())
    click.echo(f"{device.display_name} is unblocked")


@commands.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help=f"One of: {', '.join(tokens.SCOPES)}.")
@click.option(
    "--expires-days",
    type=click.IntRange(1, tokens.MAX_LIFETIME.days),
    help="Days until the token expires.",
)
def create_token(name: str, scopes: Sequence[str], expires_days: int | None) -> None:
    """Create a token and print it. You can't display it again."""
    if sys.stdout is None:
        fail("Standard output is closed, so the token could not be printed.")
    db, now = existing_database(), clock.now()
    expires_at = now + timedelta(days=expires_days) if expires_days else None
    token, text = tokens.issue(
        db, name, scopes, expires_at=expires_at, actor=audit.COMMAND_LINE, now=now
    )
    try:
        click.echo(text)
    except OSError:
        tokens.revoke(db, token.id, actor=audit.COMMAND_LINE, now=now)  # nobody has seen it
        raise


@commands.command()
@click.argument("token")
def revoke_token(token: str) -> None:
    """Revoke a token. TOKEN is its name, its prefix from the token list or the token itself."""
    db = existing_database()
    found = tokens.find(db, token)
    tokens.revoke(db, found.id, **_audit_args())
    click.echo(f"{found.name} has been revoked")


@commands.command()
def upgrade() -> None:
    """Create or upgrade the tables of API Devices. Other tables are not touched."""
    migration.upgrade()
    click.echo("The tables are up to date.")


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


def _audit_args() -> dict[str, Any]:
    return {"actor": audit.COMMAND_LINE, "now": clock.now()}


def _find(identifier: str) -> Device:
    return devices.by_identifier(existing_database(), identifier)


def fail(message: str) -> NoReturn:
    """Print one line to stderr and exit with status 1."""
    click.echo(" ".join(message.split()), err=True)
    sys.exit(1)


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table."""
    click.echo(tabulate(rows, headers, tablefmt="simple", disable_numparse=True))


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""
