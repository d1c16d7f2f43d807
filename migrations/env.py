"""Run the migrations for ``flask db …``, in one transaction on the application's database."""

from typing import Any

from alembic import context

from apidevices import migration, state

options: dict[str, Any] = migration.context_options()
if vars(context)["_proxy"].context_opts.get("destination_rev") == "head":
    # "flask db upgrade" without arguments upgrades all branches; Alembic would require one.
    options["fn"] = lambda current, _context: context.script._upgrade_revs("heads", current)

with state.database().write(timeout=60, exclusive=True) as session:
    context.configure(connection=session.connection(), **options)
    with context.begin_transaction():
        context.run_migrations()
