"""Runs the migrations on the current application's database, in one transaction."""

from alembic import context
from sqlalchemy import Connection

from apidevices import migration, state
from apidevices.models import Base


def run(connection: Connection) -> None:
    """Run them in the transaction that the connection is in."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table=migration.VERSION_TABLE,
        include_name=migration.is_modelled,
    )
    with context.begin_transaction():
        context.run_migrations()


if (given := context.config.attributes.get(migration.CONNECTION)) is not None:
    run(given)
else:
    # Two servers that start at once wait for each other here; the second one finds nothing to do.
    with state.database().write(timeout=60, exclusive=True) as session:
        run(session.connection())
