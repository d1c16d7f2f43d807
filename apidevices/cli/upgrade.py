"""The command that upgrades the tables."""

import click

from apidevices import migration
from apidevices.cli.group import UPGRADE, commands


@commands.command(UPGRADE)
def upgrade() -> None:
    """Create or upgrade the tables of API Devices. Other tables are not touched."""
    migration.upgrade()
    click.echo("The tables are up to date.")
