"""The command that shows figures of all devices."""

from collections.abc import Sequence

import click

from apidevices import clock, devices, overview, state
from apidevices.cli.group import commands, existing_database
from apidevices.cli.output import as_json, print_json, print_table, time_text
from apidevices.overview import SPREAD_DAYS, Group, Overview, Rest
from apidevices.representation import overview_json
from apidevices.text import clean_text

UPLOAD_DAYS = 14
"""How many days of uploads the tables show."""


@commands.command("overview")
@as_json
def show_overview(wants_json: bool) -> None:
    """Show figures of all devices.

    Counts active, new, gone and blocked devices, their versions and their uploads.
    """
    db, now = existing_database(), clock.now()
    devices.end_blocks_if_possible(db, now)
    counted = overview.count(state.current().overview, now)
    if wants_json:
        print_json(overview_json(counted))
        return
    click.echo(f"As of {time_text(counted.taken_at)}\n")
    _print_figures(counted.overview)
    found = counted.overview
    for title, groups, others in (
        ("Application", found.applications, found.other_applications),
        ("System", found.systems, found.other_systems),
    ):
        click.echo(f"\nDevices that were active in the last {SPREAD_DAYS} days:")
        print_table([title, "Version", "Devices"], _rows(groups, others))
    click.echo()
    days = found.uploads[-UPLOAD_DAYS:]
    print_table(["Day (UTC)", "Uploads"], [[day.day, _number(day.uploads)] for day in days])


def _print_figures(found: Overview) -> None:
    figures = {
        "Devices": found.total,
        "Archived devices": found.archived,
        "Blocked": found.blocked,
        "Blocked, and have tried since": found.denied,
        "Active in the last 7 days, without an upload": found.no_upload,
        "Of these, have uploaded before": found.stopped_uploading,
    }
    print_table(["", "Devices"], [[label, _number(each)] for label, each in figures.items()])
    click.echo()
    print_table(
        ["Last days", "Active", "New", "Gone"],
        [[each.days, *map(_number, (each.active, each.new, each.gone))] for each in found.periods],
    )


def _rows(groups: Sequence[Group], others: Rest) -> Sequence[Sequence[str]]:
    rows = []
    for group in groups:
        rows.append([_text(group.name), "", _number(group.devices)])
        rows += [["", _text(each.version), _number(each.devices)] for each in group.versions]
        if group.other_versions.values:
            rows.append(["", *_rest(group.other_versions)])
    if others.values:
        name, number = _rest(others)
        rows.append([name, "", number])
    return rows


def _rest(rest: Rest) -> Sequence[str]:
    return f"{rest.values:,} others", _number(rest.devices)


def _text(reported: str | None) -> str:
    # Devices report it, and it must not control the terminal.
    return "not reported" if reported is None else clean_text(reported)


def _number(number: int) -> str:
    return f"{number:,}"
