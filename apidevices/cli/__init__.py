"""``flask apidevices …``: the command line, for people and for scripts.

Exit status: 0 for success, 1 for failure (with one line on stderr), 2 for wrong usage.
"""

# The modules of commands add them to the group.
from apidevices.cli import (
    activity,
    archiving,
    audit,
    description,
    devices,
    marks,
    merging,
    overview,
    prune,
    storage,
    tokens,
    upgrade,
)
from apidevices.cli.group import (
    Group,
    audit_args,
    commands,
    describe_database_error,
    existing_database,
)
from apidevices.cli.output import as_json, fail, print_json, print_table, time_text

__all__ = [
    "Group",
    "activity",
    "archiving",
    "as_json",
    "audit",
    "audit_args",
    "commands",
    "describe_database_error",
    "description",
    "devices",
    "existing_database",
    "fail",
    "marks",
    "merging",
    "overview",
    "print_json",
    "print_table",
    "prune",
    "storage",
    "time_text",
    "tokens",
    "upgrade",
]
