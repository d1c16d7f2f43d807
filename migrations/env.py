"""Runs the migrations on the current application's database, in one transaction."""

from alembic import context

from apidevices import migration, state
from apidevices.models import Base
from apidevices.standalone import accounts  # noqa: F401 - its tables belong to the metadata

with state.database().write(patience=60, alone=True) as session:
    # Two servers that start at once wait for each other here; the second one finds nothing to do.
    context.configure(
        connection=session.connection(),
        target_metadata=Base.metadata,
        version_table=migration.VERSION_TABLE,
        include_name=migration.is_modelled,
    )
    with context.begin_transaction():
        context.run_migrations()
