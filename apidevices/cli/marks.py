"""The commands for marks: what devices seem to be."""

from collections.abc import Iterator
from datetime import timedelta
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
    """Show the marks of a device, with the evidence."""
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
    click.echo(f"{device.display_name} is no longer marked as {kind}")


@commands.command()
@as_json
def suggestions(wants_json: bool) -> None:
    """Show pairs of devices that may be one: after a reinstall, or after a block. Newest first."""
    found = list(_suggestions())
    if wants_json:
        print_json([mark_json(mark) for mark in found])
        return
    print_table(
        ["New device", "Mark", "Other device", "Since", "Evidence"],
        [
            [
                mark.device.identifier,
                mark.stored.kind,
                mark.other.identifier if mark.other else "",
                time_text(mark.stored.first_at),
                "\n".join(_lines(mark)),
            ]
            for mark in found
        ],
    )


def _suggestions() -> Iterator[Mark]:
    db, before = existing_database(), None
    while True:
        found, before = devices.suggestions(db, before)
        yield from found
        if before is None:
            return


def _lines(mark: Mark) -> Iterator[str]:
    """Yield the evidence for a mark, line by line."""
    if mark.stored.kind == "shared":
        yield f"swings: {mark.stored.count:,}"
    if mark.other is not None:
        yield f"{mark.device.identifier} may be {mark.other.identifier}"
        yield f"hardware: {joined(mark.device.manufacturer, mark.device.model)}"
    if mark.gap_seconds is not None:
        yield f"gap: {timedelta(seconds=mark.gap_seconds)}"
    if mark.address:
        yield f"address: {mark.address}"
    if mark.token:
        yield f"token: {mark.token.name}"
    for each in mark.sets:
        details = each.details
        hardware = joined(details["manufacturer"], details["model"])
        system = joined(details["os"], details["os_version"])
        origin = f" from {each.address}" if each.address else ""
        token = f" with {each.token.name}" if each.token else ""
        seen = time_text(each.last_seen_at)
        yield f"{hardware or '(none)'}, {system or '(none)'}: last seen {seen}{origin}{token}"
