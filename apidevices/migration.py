"""Migrations of the API Devices tables, with a version table of their own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""The branch of migrations that every application needs."""

# Running servers lock the same tables in other orders. Waiting long for one of them while holding
# another would be a deadlock, so wait briefly, release all, and try again.
_LOCK_TABLES = """
DO $$
DECLARE
    former text := current_setting('lock_timeout');
    locked text;
BEGIN
    PERFORM set_config('lock_timeout', '200ms', true);
    FOR attempt IN 1..200 LOOP
        BEGIN
            FOR locked IN
                SELECT oid::regclass::text FROM pg_class
                WHERE relkind = 'r' AND pg_table_is_visible(oid) AND relname IN (
                    'apidevices_devices', 'apidevices_device_activity',
                    'apidevices_device_history', 'apidevices_device_tokens',
                    'apidevices_api_tokens'
                )
                ORDER BY relname
            LOOP
                EXECUTE 'LOCK TABLE ' || locked || ' IN ACCESS EXCLUSIVE MODE';
            END LOOP;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = 200 THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(0.05);
        END;
    END LOOP;
    PERFORM set_config('lock_timeout', former, true);
END
$$
"""

_SEARCH_INDEX = "apidevices_devices_grams"  # created by a migration, not part of the models


def upgrade(connection: Connection | None = None, *, branch: str = DEVICES) -> None:
    """Upgrade the API Devices tables to this version of the package. Idempotent.

    Tables of the host application are not touched.

    Args:
        connection: Run in this connection's transaction, for example that of a host application's
            migration. By default, run in a new transaction on the current application's database.
        branch: The branch of the migrations to upgrade.

    Raises:
        RuntimeError: The call comes from a host application's migration in Alembic's offline mode
            (``--sql``), which has no connection.
    """
    host = _installed_operations()
    if host is not None and host.get_context().as_sql:
        raise RuntimeError(
            "API Devices can't generate SQL for its migrations. Run this migration without --sql,"
            " or remove the API Devices upgrade from it and run 'flask apidevices upgrade'."
        )
    if connection is not None:
        upgrade_to(connection, f"{branch}@head")
        return
    # If two servers start at once, the second waits here and then has nothing left to do.
    with state.database().write(timeout=60, exclusive=True) as session:
        upgrade_to(session.connection(), f"{branch}@head")


def context_options() -> dict[str, Any]:
    """Return the Alembic options that limit comparisons and migrations to API Devices tables."""
    return {
        "target_metadata": Base.metadata,
        "version_table": VERSION_TABLE,
        "include_name": is_in_models,
    }


def is_in_models(name: str | None, kind: str, parents: Mapping[Any, Any]) -> bool:
    """Return whether to compare a database object with the models.

    For Alembic's ``include_name`` hook.
    """
    if kind == "table":
        return name in Base.metadata.tables
    return name != _SEARCH_INDEX


def include_name(name: str | None, kind: str, parents: Mapping[Any, Any]) -> bool:
    """Exclude the API Devices tables from the Alembic autogenerate of a host application.

    Pass it to ``context.configure(include_name=...)`` in the host's ``env.py``. With
    Flask-Migrate this is not needed, because ``APIDevices.init_app`` configures it.
    """
    return kind != "table" or name is None or not name.startswith(PREFIX)


def hide_from_flask_migrate(app: Flask) -> None:
    """Exclude the API Devices tables from ``flask db migrate``.

    The host application may initialize Flask-Migrate after this extension. In that case, configure
    Flask-Migrate when the first application context is pushed.
    """
    if not _configure_flask_migrate(app) and find_spec("flask_migrate"):
        appcontext_pushed.connect(_on_appcontext_pushed, app)


def _on_appcontext_pushed(app: Flask, **_: Any) -> None:
    if _configure_flask_migrate(app):
        appcontext_pushed.disconnect(_on_appcontext_pushed, app)


def _configure_flask_migrate(app: Flask) -> bool:
    """Combine ``include_name`` with the host's own hook. Return whether Flask-Migrate is set up."""
    if "migrate" not in app.extensions:
        return False
    options = app.extensions["migrate"].configure_args
    host_include_name = options.get("include_name")

    def include(name: str | None, kind: str, parents: Mapping[Any, Any]) -> bool:
        allowed = host_include_name is None or host_include_name(name, kind, parents)
        return bool(allowed) and include_name(name, kind, parents)

    options["include_name"] = include
    return True


def is_current(db: Database, *branches: str) -> bool:
    """Return whether the database has all migrations of these branches, or newer ones.

    Another host may already run a newer version.
    """
    with db.connect() as connection:
        applied = set(applied_heads(connection))
    return _heads(branches) <= applied or not applied <= _revisions()


def applied_heads(connection: Connection) -> tuple[str, ...]:
    """Return the latest migration of each branch that has been applied to a database."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_heads()


@cache
def _heads(branches: Sequence[str]) -> set[str]:
    scripts = migration_scripts()
    heads = [scripts.get_revision(f"{branch}@head") for branch in branches]
    return {head.revision for head in heads}


@cache
def _revisions() -> set[str]:
    return {script.revision for script in migration_scripts().walk_revisions()}


def migration_scripts() -> ScriptDirectory:
    """Return the migrations."""
    config = Config()
    config.set_main_option("script_location", str(paths.MIGRATIONS).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def upgrade_to(connection: Connection, revision: str) -> None:
    """Run the migrations up to a revision that have not been applied yet."""
    run(connection, lambda heads: upgrade_steps(heads, revision))


def upgrade_steps(heads: Any, revision: str) -> list[Any]:
    """Return the steps from the applied migrations up to a revision.

    Args:
        heads: The latest applied migrations of all branches.
        revision: An Alembic revision, such as ``"heads"``.
    """
    # The same callback that alembic.command.upgrade passes.
    return migration_scripts()._upgrade_revs(revision, heads)


def downgrade_steps(heads: Any, revision: str) -> list[Any]:
    """Return the steps from the applied migrations down to a revision.

    Args:
        heads: The latest applied migrations of all branches.
        revision: An Alembic revision, such as ``"devices@-1"``.

    Raises:
        CommandError: The database can't be downgraded to this revision.
    """
    # The same callback that alembic.command.downgrade passes.
    return migration_scripts()._downgrade_revs(revision, heads)


def run(connection: Connection, steps: Callable[[Any], list[Any]]) -> None:
    """Run migrations in the transaction of a connection.

    ``alembic.command`` can't be used: it opens an environment, which would close the one in which
    the host application's migration is running.

    Args:
        connection: A connection to the database.
        steps: Returns the steps to run, from the latest applied migrations.
    """
    driver_connection = connection.connection.driver_connection
    if connection.dialect.name == "sqlite" and not getattr(driver_connection, "in_transaction", 1):
        # Python's driver begins no transaction for DDL, so a migration that fails later would
        # leave tables behind without their version.
        connection.exec_driver_sql("BEGIN")
    options = context_options() | {"fn": locking(connection, lambda heads, _context: steps(heads))}
    context = MigrationContext.configure(connection, opts=options)
    with _operations(context), context.begin_transaction():
        context.run_migrations()


def locking(
    connection: Connection, steps: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], list[Any]]:
    """Return Alembic's ``fn`` for these steps. It locks the tables if there are any steps."""

    def plan(heads: Any, context: Any) -> list[Any]:
        found = list(steps(heads, context))
        if found and connection.dialect.name == "postgresql":
            connection.exec_driver_sql(_LOCK_TABLES)
        return found

    return plan


@contextmanager
def _operations(context: MigrationContext) -> Iterator[None]:
    """Bind ``alembic.op`` to this context, and restore its previous context afterwards.

    Alembic's ``Operations.context`` leaves ``alembic.op`` without a context, so a host's migration
    could not continue. Alembic has no public API to restore it.
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
