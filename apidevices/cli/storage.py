"""The command that shows what is stored."""

import click

from apidevices import clock, state, storage
from apidevices.cli.group import commands, existing_database
from apidevices.cli.output import as_json, print_fields, print_json, print_table, time_text
from apidevices.representation import storage_json


@commands.command("storage")
@as_json
def show_storage(wants_json: bool) -> None:
    """Show what is kept, for how long, and its size."""
    existing_database()
    counted = storage.count(state.current().storage, clock.now())
    if wants_json:
        print_json(storage_json(counted))
        return
    found = counted.storage
    stale = f"{found.stale:,}" if found.archive_days else "none, the rule is off"
    print_table(
        ["What", "Kept for days", "Setting", "Entries", "Size", "To be deleted"],
        [
            [
                kept.description,
                f"{kept.days:,}" if kept.days else "no limit" if kept.name != "other" else "",
                kept.setting or "",
                f"{kept.rows:,}" if kept.name != "other" else "",
                storage.size_text(kept.bytes),
                _due(kept),
            ]
            for kept in found.kept
        ],
    )
    click.echo()
    print_fields(
        [
            ["Size of the database", storage.size_text(found.total_bytes)],
            ["Free in its file", storage.size_text(found.free_bytes)],
            ["Size of each part", "estimated" if found.estimated else "measured"],
            ["Archived devices", f"{found.archived:,}"],
            ["To be archived", stale],
            ["Last run in the background", time_text(found.last_run_at) or "never"],
        ],
    )


def _due(kept: storage.Kept) -> str:
    """Say how much the next run would delete."""
    if not kept.due or not kept.by_device:
        return f"{kept.due:,}"
    return f"from {kept.due:,} {'device' if kept.due == 1 else 'devices'}"
