"""The commands that change what administrators write about a device: tags and notes."""

from collections.abc import Sequence

import click

from apidevices import devices
from apidevices.cli.devices import find, identifier
from apidevices.cli.group import audit_args, commands, existing_database
from apidevices.models import Device

tags = click.argument("tags", metavar="TAG...", nargs=-1, required=True)


@commands.command()
@identifier
@tags
def tag(identifier: str, tags: Sequence[str]) -> None:
    """Add tags to a device. Idempotent."""
    device_id = find(identifier).id
    _print_tags(devices.tag(existing_database(), device_id, tags, **audit_args()))


@commands.command()
@identifier
@tags
def untag(identifier: str, tags: Sequence[str]) -> None:
    """Remove tags from a device. Idempotent."""
    device_id = find(identifier).id
    _print_tags(devices.untag(existing_database(), device_id, tags, **audit_args()))


@commands.command()
@identifier
@click.argument("text")
def note(identifier: str, text: str) -> None:
    """Set the note of a device to TEXT. An empty TEXT removes it."""
    device = devices.annotate(existing_database(), find(identifier).id, text, **audit_args())
    click.echo(f"{device.display_name} has {'a new' if device.note else 'no'} note")


def _print_tags(device: Device) -> None:
    click.echo(f"{device.display_name} has {_tags_of(device)}")


def _tags_of(device: Device) -> str:
    if not device.tags:
        return "no tags"
    return f"the {'tag' if len(device.tags) == 1 else 'tags'} {', '.join(device.tags)}"
