"""The command that shows what is stored."""

import click

from apidevices import clock, state, storage
from apidevices.cli.group import commands, existing_database
from apidevices.cli.output import as_json, print_json, print_table, time_text
from apidevices.representation import storage_json


@commands.command("storage")
@as_json
def show_storage(wants_json: bool) -> None:
    """Count what is kept, for how long, and how much room it takes."""
    existing_database()
    counted = storage.count(state.current().storage, clock.now())
    if wants_json:
        print_json(storage_json(counted))
        return
    found = counted.storage
    print_table(
        ["What", "Kept for days", "Setting", "Entries", "MB", "To be deleted"],
        [
            [
                kept.what,
                f"{kept.days:,}" if kept.days else "no limit",
                kept.setting or "",
                f"{kept.rows:,}",
                f"{kept.bytes / 1e6:,.1f}",
                f"of {kept.due:,} devices" if kept.due and kept.by_device else f"{kept.due:,}",
            ]
            for kept in found.kept
        ],
    )
    click.echo()
    print_table(
        ["", ""],
        [
            ["Database, MB", f"{found.total_bytes / 1e6:,.1f}"],
            ["Free in its file, MB", f"{found.free_bytes / 1e6:,.1f}"],
            ["Room of each", "estimated" if found.estimated else "measured"],
            ["Archived devices", f"{found.archived:,}"],
            ["To be archived", f"{found.stale:,}" if found.archive_days else "none"],
            ["Last run in the background", time_text(found.last_run_at) or "never"],
        ],
    )
