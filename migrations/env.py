"""Run the migrations for ``flask db …``, in one transaction on the application's database."""

from typing import Any

from alembic import context
from sqlalchemy.exc import SQLAlchemyError

from apidevices import migration
from apidevices.cli import describe_database_error, existing_database, fail
from apidevices.state import database

options: dict[str, Any] = migration.context_options()
destination = vars(context)["_proxy"].context_opts.get("destination_rev")
steps: Any = vars(context)["_proxy"].context_opts["fn"]
upgrades = steps.__name__ == "upgrade"


def all_branches(heads: Any, _context: Any) -> list[Any]:
    return migration.upgrade_steps(heads, "heads")


if destination == "head":
    # "flask db upgrade" without arguments upgrades all branches; Alembic would require one.
    steps = all_branches

if context.is_offline_mode():
    fail("The migrations can't be written out as SQL. Run the command without --sql.")
# Only an upgrade may create the database.
db = database() if upgrades else existing_database()
try:
    with db.write(timeout=60, exclusive=True) as session:
        connection = session.connection()
        options["fn"] = migration.locking(connection, steps)
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            context.run_migrations()
except SQLAlchemyError as error:
    fail(describe_database_error(error, "flask apidevices upgrade"))
