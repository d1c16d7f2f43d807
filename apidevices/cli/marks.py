"""The commands for marks: what devices seem to be."""

from collections.abc import Iterator
from typing import get_args

import click

from apidevices import devices
from apidevices.cli.devices import find, identifier
from apidevices.cli.group import audit_args, commands, existing_database
from apidevices.cli.output import as_json, joined, print_json, print_table, time_text
from apidevices.devices import Mark
from apidevices.mark_representation import mark_json
from apidevices.models import MarkKind


@commands.command()
@identifier
@as_json
def marks(identifier: str, wants_json: bool) -> None:
    """Show what a device seems to be, such as several devices, with the evidence."""
    found = devices.marks_of(existing_database(), find(identifier).id)
    if wants_json:
        print_json([mark_json(mark) for mark in found])
        return
    print_table(
        ["Mark", "Since", "Latest", "Evidence"],
        [
            [
                mark.stored.kind,
                time_text(mark.stored.first_at),
                time_text(mark.stored.last_at),
                "\n".join(_lines(mark)),
            ]
            for mark in found
        ],
    )


@commands.command()
@identifier
@click.argument("kind", type=click.Choice(get_args(MarkKind)))
def dismiss(identifier: str, kind: str) -> None:
    """Dismiss the marks of a KIND that a device has. Idempotent."""
    db, device = existing_database(), find(identifier)
    for mark in devices.marks_of(db, device.id):
        if mark.stored.kind == kind:
            devices.dismiss(db, device.id, mark.stored.id, **audit_args())
    click.echo(f"{device.display_name} has no mark {kind}")


def _lines(mark: Mark) -> Iterator[str]:
    """Yield the evidence for a mark, line by line."""
    if mark.stored.kind == "shared":
        yield f"swings: {mark.stored.count:,}"
    for each in mark.sets:
        details = each.details
        hardware = joined(details["manufacturer"], details["model"])
        system = joined(details["os"], details["os_version"])
        origin = f" from {each.address}" if each.address else ""
        token = f" with {each.token.name}" if each.token else ""
        seen = time_text(each.last_seen_at)
        yield f"{hardware or '(none)'}, {system or '(none)'}: last seen {seen}{origin}{token}"
