"""Run the migrations for ``flask db …``, in one transaction on the application's database."""

from typing import Any

from alembic import context

from apidevices import migration
from apidevices.cli import existing_database
from apidevices.state import database

options: dict[str, Any] = migration.context_options()
destination = vars(context)["_proxy"].context_opts.get("destination_rev")
if destination == "head":
    # "flask db upgrade" without arguments upgrades all branches; Alembic would require one.
    options["fn"] = lambda current, _context: context.script._upgrade_revs("heads", current)

# Commands that only read, such as "flask db current", must not create the database.
db = database() if destination else existing_database()
with db.write(timeout=60, exclusive=True) as session:
    context.configure(connection=session.connection(), **options)
    with context.begin_transaction():
        context.run_migrations()
