"""Our tables' one history of migrations, which has a version table of its own."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from apidevices import paths
from apidevices.models import PREFIX, Base

VERSION_TABLE = f"{PREFIX}alembic_version"

CONNECTION = "apidevices_connection"
"""The attribute of Alembic's configuration that names the connection to migrate on."""


_OF_THE_SEARCH = "apidevices_devices_grams"  # an index that no model describes


def is_modelled(name: str | None, kind: str, parents: Mapping[Any, Any]) -> bool:
    """Tell Alembic whether something that is in the database should be in the models, too."""
    if kind == "table":
        return name in Base.metadata.tables
    return name != _OF_THE_SEARCH


def upgrade(connection: Connection | None = None) -> None:
    """Bring the tables of the current application to this version; a host's own stay untouched.

    Args:
        connection: where to do it, in its transaction; one of its own if not given.
    """
    config = _config()
    config.attributes[CONNECTION] = connection
    command.upgrade(config, "head")


@cache
def newest() -> str | None:
    """Return the newest migration of this code."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(paths.MIGRATIONS).replace("%", "%%"))
    return config
