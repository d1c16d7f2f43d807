"""Keep the database small and its times sane: delete what is too old, repair times in the future.

A ``Task`` says which rows are due and what to do with them. ``run`` does it in small batches with
pauses, so that requests don't wait: SQLite has a single writer, and PostgreSQL can vacuum in
between. The standalone application runs all tasks in the background, ``flask apidevices prune``
runs them at once.
"""

from apidevices.upkeep.clock_repair import tasks as clock_repair_tasks
from apidevices.upkeep.replacements import tasks as replacement_tasks
from apidevices.upkeep.retention import delete_older
from apidevices.upkeep.retention import tasks as retention_tasks
from apidevices.upkeep.runs import HOURLY, SERVER, last_run
from apidevices.upkeep.single_swings import tasks as single_swing_tasks
from apidevices.upkeep.tasks import ClockWrong, Job, Result, Task, database_time, run
from apidevices.upkeep.twins import tasks as twin_tasks

__all__ = [
    "HOURLY",
    "SERVER",
    "ClockWrong",
    "Job",
    "Result",
    "Task",
    "clock_repair_tasks",
    "database_time",
    "delete_older",
    "last_run",
    "replacement_tasks",
    "retention_tasks",
    "run",
    "single_swing_tasks",
    "twin_tasks",
]
