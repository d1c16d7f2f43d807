"""The migrations of our own tables; a version table of their own keeps them apart from a host's."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

from alembic import op
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask, appcontext_pushed
from sqlalchemy import Connection

from apidevices import paths, state
from apidevices.database import Database
from apidevices.models import PREFIX, Base

VERSION_TABLE = f"{PREFIX}alembic_version"

DEVICES = "devices"
"""The branch of migrations that every application has."""

_SEARCH_INDEX = "apidevices_devices_grams"  # an index that no model describes


def upgrade(connection: Connection | None = None, *, branch: str = DEVICES) -> None:
    """Upgrade our tables to this version of the package; leave a host's own tables alone.

    Args:
        connection: run in this connection's transaction, such as that of a host's own migration.
            Without one, run in a transaction of our own on the current application's database.
        branch: which branch of the migrations to upgrade.

    Raises:
        RuntimeError: a host's migration is being written out as SQL, which has no connection.
    """
    host = _installed_operations()
    if host is not None and host.get_context().as_sql:
        raise RuntimeError(
            "API Devices can't write its migrations out as SQL. Run 'flask apidevices upgrade'"
            " instead, or this migration without --sql."
        )
    if connection is not None:
        _run(connection, branch)
        return
    # Two servers that start at once wait for each other here; the second one finds nothing to do.
    with state.database().write(timeout=60, exclusive=True) as session:
        _run(session.connection(), branch)


def context_options() -> dict[str, Any]:
    """Return what Alembic needs to know to compare or migrate our tables, and only these."""
    return {
        "target_metadata": Base.metadata,
        "version_table": VERSION_TABLE,
        "include_name": is_modelled,
    }


def is_modelled(name: str | None, kind: str, parents: Mapping[Any, Any]) -> bool:
    """Tell Alembic whether something that is in the database should be in the models, too."""
    if kind == "table":
        return name in Base.metadata.tables
    return name != _SEARCH_INDEX


def include_name(name: str | None, kind: str, parents: Mapping[Any, Any]) -> bool:
    """Tell the Alembic of a host to leave our tables alone when it compares the database.

    For ``context.configure(include_name=...)`` in a host's ``env.py``. Hosts that use
    Flask-Migrate don't need it: ``APIDevices.init_app`` sees to it.
    """
    return kind != "table" or name is None or not name.startswith(PREFIX)


def hide_from_flask_migrate(app: Flask) -> None:
    """Make ``flask db migrate`` leave our tables alone, besides what a host has it leave alone.

    A host may set up Flask-Migrate after this extension. Then it happens as soon as the
    application is used.
    """
    if not _set_up_flask_migrate(app) and find_spec("flask_migrate"):
        appcontext_pushed.connect(_on_context, app)


def _on_context(app: Flask, **_: Any) -> None:
    if _set_up_flask_migrate(app):
        appcontext_pushed.disconnect(_on_context, app)


def _set_up_flask_migrate(app: Flask) -> bool:
    """Combine ``include_name`` with the host's own, if Flask-Migrate is there."""
    if "migrate" not in app.extensions:
        return False
    options = app.extensions["migrate"].configure_args
    of_host = options.get("include_name")

    def include(name: str | None, kind: str, parents: Mapping[Any, Any]) -> bool:
        allowed = of_host is None or of_host(name, kind, parents)
        return bool(allowed) and include_name(name, kind, parents)

    options["include_name"] = include
    return True


def is_current(db: Database, *branches: str) -> bool:
    """Return whether the database has the newest tables of these branches."""
    with db.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return _heads(branches) <= set(context.get_current_heads())


@cache
def _heads(branches: Sequence[str]) -> set[str]:
    scripts = _scripts()
    found = [scripts.get_revision(f"{branch}@head") for branch in branches]
    return {revision.revision for revision in found}


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(paths.MIGRATIONS).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def _run(connection: Connection, branch: str) -> None:
    """Run the migrations that are missing.

    Not by ``alembic.command``: it opens an environment, which ends the one that a host's migration
    is running in.
    """
    scripts = _scripts()
    options = context_options() | {
        "fn": lambda revision, _context: scripts._upgrade_revs(
            f"{branch}@head", revision
        )  # as Alembic tells
    }
    context = MigrationContext.configure(connection, opts=options)
    with _operations(context), context.begin_transaction():
        context.run_migrations()


@contextmanager
def _operations(context: MigrationContext) -> Iterator[None]:
    """Let ``alembic.op`` work in this context, and afterwards where it worked before.

    Alembic's own ``Operations.context`` leaves ``alembic.op`` without any context, so that a
    host's migration could not go on. There is no public way to put it back.
    """
    outer = _installed_operations()
    inner = Operations(context)
    inner._install_proxy()
    try:
        yield
    finally:
        inner._remove_proxy()
        if outer is not None:
            outer._install_proxy()


def _installed_operations() -> Operations | None:
    operations: Operations | None = vars(op).get("_proxy")
    return operations
