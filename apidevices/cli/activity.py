"""The command that shows the daily counts of a device."""

import click

from apidevices import clock
from apidevices.cli.devices import find, identifier
from apidevices.cli.group import commands, existing_database
from apidevices.cli.output import as_json, print_json, print_table
from apidevices.daily_counts import activity_json
from apidevices.devices import DAYS, activity_days


@commands.command()
@identifier
@as_json
def activity(identifier: str, wants_json: bool) -> None:
    """Show the daily activity of a device.

    Prints the requests, uploads and denied requests of each of the last 90 days, newest first.
    Days are UTC days. The table leaves out days without requests.
    """
    days = activity_days(existing_database(), find(identifier).id, clock.now())
    if wants_json:
        print_json(activity_json(days))
        return
    rows = [
        [f"{day:%Y-%m-%d}", f"{requests:,}", f"{uploads:,}", f"{denied:,}"]
        for day, requests, uploads, denied in reversed(days)
        if requests or denied
    ]
    if not rows:
        click.echo(f"No activity has been counted in the last {DAYS} days.")
        return
    print_table(["Day (UTC)", "Requests", "Uploads", "Denied"], rows)
