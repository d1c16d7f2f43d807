"""The standalone application's migrations: the extension's branch and one of its own."""

from apidevices.toolkit import Database, is_branch_current, upgrade_branch

BRANCHES = ("devices", "standalone")


def upgrade() -> None:
    """Upgrade all tables in the current application's database."""
    for branch in BRANCHES:
        upgrade_branch(branch=branch)


def is_current(db: Database) -> bool:
    """Return whether the database has the newest tables."""
    return is_branch_current(db, *BRANCHES)
