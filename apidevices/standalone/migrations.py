"""The migrations of the standalone application: the extension's branch and its own branch."""

from apidevices.toolkit import Database, is_branch_current, upgrade_branch

BRANCHES = ("devices", "standalone")


def upgrade() -> None:
    """Create or upgrade all tables of the current application."""
    for branch in BRANCHES:
        upgrade_branch(branch=branch)


def is_current(db: Database) -> bool:
    """Return whether all migrations of this version have been applied."""
    return is_branch_current(db, *BRANCHES)
