"""Our tables' one history of migrations, which has a version table of its own."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from apidevices import paths
from apidevices.database import Database
from apidevices.models import PREFIX, Base

VERSION_TABLE = f"{PREFIX}alembic_version"

DEVICES = "devices"
"""The branch of migrations that every application has."""

CONNECTION = "apidevices_connection"
"""The attribute of Alembic's configuration that names the connection to migrate on."""


_OF_THE_SEARCH = "apidevices_devices_grams"  # an index that no model describes


def is_modelled(name: str | None, kind: str, parents: Mapping[Any, Any]) -> bool:
    """Tell Alembic whether something that is in the database should be in the models, too."""
    if kind == "table":
        return name in Base.metadata.tables
    return name != _OF_THE_SEARCH


def upgrade(branch: str = DEVICES, connection: Connection | None = None) -> None:
    """Upgrade the extension's tables in the current application's database.

    Args:
        branch: Which branch of the migrations to upgrade.
        connection: Where to do it, within its transaction. Default: a transaction of its own.
    """
    config = _config()
    config.attributes[CONNECTION] = connection
    command.upgrade(config, f"{branch}@head")


def is_current(db: Database, *branches: str) -> bool:
    """Return whether the database has the newest tables of these branches."""
    with db.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return _heads(branches) <= set(context.get_current_heads())


@cache
def _heads(branches: Sequence[str]) -> set[str]:
    script = ScriptDirectory.from_config(_config())
    return {script.get_revision(f"{branch}@head").revision for branch in branches}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(paths.MIGRATIONS).replace("%", "%%"))
    return config
