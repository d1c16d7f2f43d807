"""``flask apidevices …``: what the pages do, for the shell and for programs.

Exit status: 0 done, 1 could not (one line on stderr says why), 2 wrong usage.
"""

import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import click
from flask.cli import AppGroup, ScriptInfo
from sqlalchemy.exc import SQLAlchemyError
from tabulate import tabulate

from apidevices import audit, clock, devices, listing, migration, state, tokens
from apidevices.database import Database
from apidevices.errors import APIDevicesError
from apidevices.identity import DETAILS
from apidevices.listing import Filters
from apidevices.models import Device
from apidevices.representation import device_json, history_json


class Group(AppGroup):
    """Says in one line what could not be done, whichever command it was."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands that work in this application."""
        return [name for name in super().list_commands(ctx) if _works_here(ctx, name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command if it works in this application."""
        return super().get_command(ctx, cmd_name) if _works_here(ctx, cmd_name) else None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except click.ClickException:
            raise
        except APIDevicesError as error:
            fail(str(error))
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or error
            fail(
                f"The database is unavailable or not migrated: {reason}. "
                "If tables are missing, run 'flask apidevices upgrade'."
            )


_NEED_TOKENS = ("create-token", "revoke-token")


def _works_here(ctx: click.Context, name: str) -> bool:
    """Return whether a command works in the application: some need that tokens of ours are used."""
    info = ctx.find_object(ScriptInfo)
    if name not in _NEED_TOKENS or info is None:
        return True
    with info.load_app().app_context():
        return state.current().uses_tokens


commands = Group("apidevices", help="See devices, block and unblock them, make tokens.")

as_json = click.option("--json", "wants_json", is_flag=True, help="JSON, for programs.")
identifier = click.argument("identifier")


@commands.command("list")
@click.option("--name", default="", help="Part of the name or identifier, in any case.")
@click.option(
    "--status", type=click.Choice(["all", "active", "blocked"]), default="all", show_default=True
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
    """Show everything that is known of a device."""
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
    """Show what a device reported of itself over time, newest first."""
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
    """Give a device a NAME; an empty one returns it to its identifier."""
    device = devices.rename(existing_database(), _find(identifier).id, name, **_by_whom())
    click.echo(f"{device.identifier} is shown as {device.display_name}")


@commands.command()
@identifier
@click.option("--reason", help="Why, for the details page.")
def block(identifier: str, reason: str | None) -> None:
    """Block a device: its next request is denied; its tokens stay valid."""
    device = devices.block(existing_database(), _find(identifier).id, reason=reason, **_by_whom())
    click.echo(f"{device.display_name} is blocked since {_time(device.blocked_at)}")


@commands.command()
@identifier
def unblock(identifier: str) -> None:
    """Unblock a device: its next request is served."""
    device = devices.unblock(existing_database(), _find(identifier).id, **_by_whom())
    click.echo(f"{device.display_name} is not blocked")


@commands.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help=f"One of: {', '.join(tokens.SCOPES)}.")
@click.option(
    "--expires-days",
    type=click.IntRange(1, tokens.MAX_LIFETIME.days),
    help="Days until it expires.",
)
def create_token(name: str, scopes: Sequence[str], expires_days: int | None) -> None:
    """Create a token and print it, alone; it can't be shown again."""
    now = clock.now()
    expires_at = now + timedelta(days=expires_days) if expires_days else None
    _, text = tokens.issue(
        existing_database(), name, scopes, expires_at=expires_at, actor=audit.COMMAND_LINE, now=now
    )
    click.echo(text)


@commands.command()
@click.argument("token")
def revoke_token(token: str) -> None:
    """Revoke a TOKEN, given by its name, its first characters as listed, or itself."""
    db = existing_database()
    found = tokens.find(db, token)
    tokens.revoke(db, found.id, **_by_whom())
    click.echo(f"{found.name} is revoked")


@commands.command()
def upgrade() -> None:
    """Bring our own tables to this version; the application's own stay untouched."""
    migration.upgrade()


def existing_database() -> Database:
    """Return the database of the current application.

    Exits with 1 if it is a SQLite file that doesn't exist: to connect would create an empty one.
    """
    db = state.database()
    path = db.engine.url.database if db.engine.dialect.name == "sqlite" else None
    if path and path != ":memory:" and not path.startswith("file:") and not Path(path).exists():
        fail(
            f"There is no database at {path}. Set DATABASE_URL, "
            "or run 'flask apidevices upgrade' to create one."
        )
    return db


def _by_whom() -> dict[str, Any]:
    return {"actor": audit.COMMAND_LINE, "now": clock.now()}


def _find(identifier: str) -> Device:
    return devices.by_identifier(existing_database(), identifier)


def fail(message: str) -> NoReturn:
    """Print one line to stderr and exit with 1."""
    click.echo(" ".join(message.split()), err=True)
    sys.exit(1)


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table for people."""
    click.echo(tabulate(rows, headers, tablefmt="simple", disable_numparse=True))


def _joined(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""
