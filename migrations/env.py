"""Runs the migrations on the current application's database, in one transaction."""

from alembic import context

from apidevices import state
from apidevices.migration import VERSION_TABLE
from apidevices.models import Base
from apidevices.standalone import accounts  # noqa: F401 - its tables belong to the metadata

with state.database().write(patience=60) as session:
    # Two servers that start at once wait for each other here; the second one finds nothing to do.
    context.configure(
        connection=session.connection(),
        target_metadata=Base.metadata,
        version_table=VERSION_TABLE,
        include_name=lambda name, type_, _parents: type_ != "table" or name in Base.metadata.tables,
    )
    with context.begin_transaction():
        context.run_migrations()
