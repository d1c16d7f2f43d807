"""Runs the migrations for ``flask db …``, in one transaction on the application's database."""

from alembic import context

from apidevices import migration, state
from apidevices.standalone import accounts  # noqa: F401 - its tables belong to the metadata

with state.database().write(patience=60, alone=True) as session:
    context.configure(connection=session.connection(), **migration.context_options())
    with context.begin_transaction():
        context.run_migrations()
