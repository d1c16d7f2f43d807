"""The commands that show and change devices."""

import click
from tabulate import tabulate

from apidevices import devices, listing
from apidevices.cli.group import audit_args, commands, existing_database
from apidevices.cli.output import as_json, joined, print_json, print_table, time_text
from apidevices.identity import DETAILS
from apidevices.listing import Filters
from apidevices.models import Device
from apidevices.representation import device_json, history_json

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
        print_json([device_json(device) for device in found])
        return
    print_table(
        ["Name", "Application", "Manufacturer and model", "Last activity", "Status"],
        [
            [
                device.display_name,
                joined(device.application, device.application_version),
                joined(device.manufacturer, device.model),
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
    fields = device_json(_find(identifier))
    if wants_json:
        print_json(fields)
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
        print_json([history_json(entry) for entry in entries])
        return
    print_table(
        ["When", "What", "Changes", "Token", "Address"],
        [
            [
                time_text(entry.at),
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
    device = devices.rename(existing_database(), _find(identifier).id, name, **audit_args())
    click.echo(f"{device.identifier} is now shown as {device.display_name}")


@commands.command()
@identifier
@click.option("--reason", help="Shown on the device's page.")
def block(identifier: str, reason: str | None) -> None:
    """Block a device, starting with its next request. Its tokens stay valid. Idempotent."""
    device = devices.block(existing_database(), _find(identifier).id, reason=reason, **audit_args())
    click.echo(f"{device.display_name} has been blocked since {time_text(device.blocked_at)}")


@commands.command()
@identifier
def unblock(identifier: str) -> None:
    """Unblock a device, starting with its next request. Idempotent."""
    device = devices.unblock(existing_database(), _find(identifier).id, **audit_args())
    click.echo(f"{device.display_name} is unblocked")


def _find(identifier: str) -> Device:
    return devices.by_identifier(existing_database(), identifier)
