"""The commands that show and change devices."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import get_args

import click

from apidevices import clock, devices, export, listing
from apidevices.cli.filters import (
    bulk_options,
    check_choice,
    confirm,
    confirm_matching,
    filter_options,
)
from apidevices.cli.group import audit_args, commands, existing_database
from apidevices.cli.moments import Moment
from apidevices.cli.output import as_json, joined, print_fields, print_json, print_table, time_text
from apidevices.history_representation import history_json
from apidevices.identity import DETAILS
from apidevices.listing import SORTS, Filters, Sort
from apidevices.models import Device, DeviceHistory
from apidevices.representation import device_json

identifier = click.argument("identifier")
identifier_or_filters = click.argument("identifier", required=False)


@commands.command("list")
@filter_options
@click.option(
    "--sort",
    type=click.Choice(get_args(Sort)),
    default="activity",
    help=SORTS,
)
@as_json
@click.option("--csv", "wants_csv", is_flag=True, help="Print CSV, with all fields.")
def list_devices(filters: Filters, sort: Sort, wants_json: bool, wants_csv: bool) -> None:
    """List devices, by default the most recently active first."""
    if wants_json and wants_csv:
        raise click.UsageError("Pass either --json or --csv.")
    db = existing_database()
    devices.end_blocks_if_possible(db, clock.now())
    found = listing.iterate(db, filters, sort)
    if wants_csv:
        for chunk in export.csv_chunks(found):
            click.echo(chunk.encode(), nl=False)
        return
    if wants_json:
        print_json([device_json(device) for device in found])
        return
    print_table(
        ["Name", "Application", "Manufacturer and model", "Tags", "Last activity", "Status"],
        [
            [
                f"{device.name} ({device.identifier})" if device.name else device.identifier,
                joined(device.application, device.application_version),
                joined(device.manufacturer, device.model),
                ", ".join(device.tags),
                time_text(device.activity.last_activity_at),
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
    fields = device_json(find(identifier))
    if wants_json:
        print_json(fields)
        return
    for field in ("aliases", "tags"):
        fields[field] = ", ".join(fields[field])
    fields["shared"] = "yes" if fields["shared"] else None
    rows = [
        [key.replace("_", " "), value] for key, value in fields.items() if value not in (None, "")
    ]
    print_fields(rows)


@commands.command()
@identifier
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(devices.KINDS),
    help="Only entries of this kind. Can be repeated.",
)
@as_json
def history(identifier: str, kinds: Sequence[str], wants_json: bool) -> None:
    """Show what has happened to a device, newest first."""
    entries = devices.history(existing_database(), find(identifier).id, kinds=kinds)
    if wants_json:
        print_json([history_json(entry) for entry in entries])
        return
    print_table(
        ["When", "What", "Changes", "Token", "Address", "By"],
        [
            [
                time_text(entry.at),
                entry.kind.replace("_", " "),
                "\n".join(_lines(entry)),
                entry.token.name if entry.token else "",
                entry.address,
                entry.actor,
            ]
            for entry in entries
        ],
    )


@commands.command()
@identifier
@click.argument("name")
def rename(identifier: str, name: str) -> None:
    """Set the NAME of a device. An empty NAME removes it."""
    device = devices.rename(existing_database(), find(identifier).id, name, **audit_args())
    click.echo(f"{device.identifier} is now shown as {device.display_name}")


@commands.command()
@identifier_or_filters
@click.option("--reason", help="Shown on the device's page.")
@click.option(
    "--until",
    type=Moment(),
    help="Time when the block ends by itself, such as 2030-05-17T12:00:00Z.",
)
@click.option(
    "--revoke-token",
    "revoke_tokens",
    multiple=True,
    type=click.IntRange(0),
    metavar="ID",
    help="Id of a token to revoke, too. The device must have used it. Can be repeated.",
)
@bulk_options
def block(
    identifier: str | None,
    reason: str | None,
    until: datetime | None,
    revoke_tokens: Sequence[int],
    filters: Filters,
    expected: int | None,
    yes: bool,
) -> None:
    """Block a device, or all that match filters, starting with the next request. Idempotent.

    The tokens stay valid. For a device that is blocked already, --until changes the end of the
    block.
    """
    check_choice(identifier, filters, expected)
    db = existing_database()
    if identifier is None:
        if revoke_tokens:
            raise click.UsageError("--revoke-token needs an IDENTIFIER, not filters.")
        matching = confirm_matching("Block", filters, expected, yes)
        blocked = devices.block_all(db, matching, reason=reason, until=until, **audit_args())
        click.echo(f"{count(blocked)} blocked{_until(until)}")
        return
    device = devices.block(
        db,
        find(identifier).id,
        reason=reason,
        until=until or devices.Until.UNCHANGED,
        revoke_tokens=revoke_tokens,
        **audit_args(),
    )
    since = time_text(device.blocked_at)
    click.echo(
        f"{device.display_name} has been blocked since {since}{_until(device.blocked_until)}"
    )


@commands.command()
@identifier_or_filters
@bulk_options
def unblock(identifier: str | None, filters: Filters, expected: int | None, yes: bool) -> None:
    """Unblock a device, or all that match filters, starting with the next request. Idempotent."""
    check_choice(identifier, filters, expected)
    db = existing_database()
    if identifier is None:
        matching = confirm_matching("Unblock", filters, expected, yes)
        click.echo(f"{count(devices.unblock_all(db, matching, **audit_args()))} unblocked")
        return
    device = devices.unblock(db, find(identifier).id, **audit_args())
    click.echo(f"{device.display_name} is unblocked")


@commands.command()
@identifier_or_filters
@click.option(
    "--keep-block",
    is_flag=True,
    help="Keep the identifiers of blocked devices blocked, and nothing else about them.",
)
@bulk_options
def delete(
    identifier: str | None, keep_block: bool, filters: Filters, expected: int | None, yes: bool
) -> None:
    """Delete a device, or all that match filters, with everything that is stored about them.

    The next request with the same identifier registers a new device, which is not blocked. To
    prevent that, block the device and pass --keep-block, or revoke its token.
    """
    check_choice(identifier, filters, expected)
    db = existing_database()
    if identifier is None:
        matching = confirm_matching("Delete", filters, expected, yes)
        deleted = devices.delete_all(db, matching, keep_block=keep_block, **audit_args())
        click.echo(f"{count(deleted)} deleted")
        return
    device = find(identifier)
    if not yes:
        confirm(f"Delete {device.display_name} with its history and uploads?")
    devices.delete(db, device.id, keep_block=keep_block, **audit_args())
    click.echo(f"{device.display_name} has been deleted")


def count(changed: Sequence[int]) -> str:
    """Return how many devices have been changed, as the beginning of a sentence."""
    return "1 device has been" if len(changed) == 1 else f"{len(changed):,} devices have been"


def _until(moment: datetime | None) -> str:
    return f" until {time_text(moment)}" if moment else ""


def _lines(entry: DeviceHistory) -> Iterator[str]:
    """Yield what an entry says, line by line."""
    for field, (old, new) in sorted(
        entry.changes.items(), key=lambda change: ("name", *DETAILS).index(change[0])
    ):
        yield f"{field}: {'' if old is None else f'{old} -> '}{'(none)' if new is None else new}"
    if entry.denied_details:
        yield f"requests: {entry.denied_details['count']}"
        yield f"first: {time_text(entry.denied_details['first_at'])}"
        return
    for key, value in (entry.details or {}).items():
        if value is not None:
            yield f"{key}: {', '.join(value) if isinstance(value, list) else value}"


def find(identifier: str) -> Device:
    """Return the device with this identifier."""
    return devices.by_identifier(existing_database(), identifier)
