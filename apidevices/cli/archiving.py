"""The commands that archive devices and bring them back."""

import click

from apidevices import devices
from apidevices.cli.devices import count, find, identifier_or_filters
from apidevices.cli.filters import bulk_options, check_choice, confirm_matching
from apidevices.cli.group import audit_args, commands, existing_database
from apidevices.listing import Filters


@commands.command()
@identifier_or_filters
@bulk_options
def archive(identifier: str | None, filters: Filters, expected: int | None, yes: bool) -> None:
    """Archive a device, or all that match filters, until their next request. Idempotent.

    Lists leave archived devices out. Blocks stay.
    """
    check_choice(identifier, filters, expected)
    db = existing_database()
    if identifier is None:
        matching = confirm_matching("Archive", filters, expected, yes)
        click.echo(f"{count(devices.archive_all(db, matching, **audit_args()))} archived")
        return
    device = devices.archive(db, find(identifier).id, **audit_args())
    click.echo(f"{device.display_name} is archived")


@commands.command()
@identifier_or_filters
@bulk_options
def unarchive(identifier: str | None, filters: Filters, expected: int | None, yes: bool) -> None:
    """Bring a device, or all that match filters, back from the archive. Idempotent.

    Filters need --archived to match archived devices.
    """
    check_choice(identifier, filters, expected)
    db = existing_database()
    if identifier is None:
        matching = confirm_matching("Unarchive", filters, expected, yes)
        click.echo(f"{count(devices.unarchive_all(db, matching, **audit_args()))} unarchived")
        return
    device = devices.unarchive(db, find(identifier).id, **audit_args())
    click.echo(f"{device.display_name} is not archived")
