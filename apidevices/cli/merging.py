"""The commands that merge devices, and remove aliases."""

import click

from apidevices import devices, state
from apidevices.cli.devices import find
from apidevices.cli.filters import confirm, is_terminal
from apidevices.cli.group import audit_args, commands, existing_database
from apidevices.errors import AliasNotFound, Conflict


@commands.command()
@click.argument("merged", metavar="FROM")
@click.argument("into")
@click.option("--yes", is_flag=True, help="Don't ask.")
def merge(merged: str, into: str, yes: bool) -> None:
    """Merge the device FROM into the device INTO.

    This is for a device that has called the API under two identifiers.
    INTO gets the history, tags and uploads of FROM, and its identifier as an alias. If either is
    blocked, INTO is blocked. This can't be undone. In a terminal, it asks first.
    """
    old, new = find(merged), find(into)
    if old.id == new.id:
        raise Conflict(f"{merged} and {into} already belong to the same device.")
    if not yes and is_terminal():
        blocked = " and block it" if old.status != new.status == "active" else ""
        confirm(f"Merge {old.display_name} into {new.display_name}{blocked}? You can't undo that.")
    moves = state.current().moves
    device = devices.merge(existing_database(), old.id, new.id, moves=moves, **audit_args())
    blocked = ", which is blocked" if device.status == "blocked" else ""
    click.echo(f"{old.identifier} is now an alias of {device.display_name}{blocked}")


@commands.command()
@click.argument("alias")
def unalias(alias: str) -> None:
    """Remove an ALIAS from its device.

    The next request with this identifier registers a new device. While the device is blocked,
    aliases can't be removed, because the new device would not be blocked.
    """
    device = find(alias)
    if device.identifier == alias:
        raise AliasNotFound(f"{alias} is not an alias, but the identifier of a device.")
    devices.remove_alias(existing_database(), device.id, alias, **audit_args())
    click.echo(f"{alias} is no longer an alias of {device.display_name}")
