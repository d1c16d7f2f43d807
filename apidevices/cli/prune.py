"""The command that deletes old rows, archives inactive devices and repairs wrong times."""

import click

from apidevices import audit, stale_rule, state, upkeep
from apidevices.cli.group import commands, existing_database
from apidevices.cli.output import print_table
from apidevices.config import ARCHIVE_DAYS, MAX_DAYS
from apidevices.upkeep import Job, Task


@commands.command()
@click.option(
    "--inactive-days",
    type=click.IntRange(1, MAX_DAYS),
    metavar="N",
    help="Only archive devices that have not sent a request for N days, whatever the settings.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing, only count the rows.")
def prune(inactive_days: int | None, dry_run: bool) -> None:
    """Delete what is older than the settings allow, and repair times in the future.

    Archives inactive devices if the settings say so. Works in small batches with pauses, so it can
    run while the application is in use.
    """
    db, tasks = existing_database(), state.current().upkeep
    if inactive_days is not None:
        tasks = [stale_rule.task(db, inactive_days, actor=audit.COMMAND_LINE)]
    results = upkeep.run(db, tasks, now=upkeep.database_time(db), dry_run=dry_run)
    changed = {result.task.description: f"{result.rows:,}" for result in results}
    print_table(
        ["Task", "After", "Would change" if dry_run else "Changed"],
        [[task.description, _after(task), changed.get(task.description, "")] for task in tasks],
    )


def _after(task: Task | Job) -> str:
    """Say how old something must be for a task to change it."""
    if task.days is None:
        return ""
    if task.days == 0:
        return "off" if task.setting == ARCHIVE_DAYS else "never"
    return "1 day" if task.days == 1 else f"{task.days:,} days"
