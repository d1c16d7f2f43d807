"""Find out what a downgrade of the database would delete, without changing the database."""

from dataclasses import dataclass
from typing import Any

from alembic.util import CommandError
from sqlalchemy import Connection, StaticPool, column, create_engine, func, inspect, select, table

from apidevices import migration
from apidevices.database import Database, sqlite_module
from apidevices.errors import APIDevicesError
from apidevices.models import PREFIX

# The search index, what the list is filtered by, and counted figures: an upgrade builds them again.
_DERIVED = tuple(
    f"{PREFIX}{name}" for name in ("device_search", "device_keys", "details", "snapshots")
)
_DERIVED_COLUMN = "details_id"

Columns = dict[str, set[str]]
"""Table -> its columns."""


class RevisionNotFound(APIDevicesError):
    """The database can't be downgraded to this revision."""


@dataclass(frozen=True, slots=True)
class Downgrade:
    """A planned downgrade.

    ``migrations`` are the migrations to revert, as ``"0002: Create accounts."``. ``losses`` maps
    what is deleted, in words, to its number of rows. A deleted column counts the rows that have a
    value in it.
    """

    migrations: list[str]
    losses: dict[str, int]


def plan(db: Database, revision: str) -> Downgrade:
    """Return what a downgrade to a revision would revert and delete.

    The downgrade is rehearsed in an empty database in memory, so it locks nothing in the real one.

    Args:
        db: The database.
        revision: An Alembic revision, such as ``"devices@-1"``.

    Raises:
        RevisionNotFound: The database can't be downgraded to this revision.
    """
    with db.connect() as connection:
        heads = migration.applied_heads(connection)
        try:
            steps = migration.downgrade_steps(heads, revision)
            before, after = _rehearse(heads, steps)
        except CommandError as error:
            raise RevisionNotFound(str(error)) from None
        reverted = [f"{step.revision.revision}: {step.revision.doc}" for step in steps]
        return Downgrade(reverted, _losses(connection, before, after))


def _rehearse(heads: tuple[str, ...], steps: list[Any]) -> tuple[Columns, Columns]:
    """Return the columns of an empty database before and after these steps."""
    engine = create_engine("sqlite://", module=sqlite_module(), poolclass=StaticPool)
    with engine.connect() as connection:
        for head in heads:
            migration.upgrade_to(connection, head)
        before = _columns(connection)
        migration.run(connection, lambda _heads: steps)
        after = _columns(connection)
    engine.dispose()
    return before, after


def _columns(connection: Connection) -> Columns:
    inspector = inspect(connection)
    return {
        name: {found["name"] for found in inspector.get_columns(name)} - {_DERIVED_COLUMN}
        for name in inspector.get_table_names()
        if name != migration.VERSION_TABLE and not name.startswith(_DERIVED)
    }


def _losses(connection: Connection, before: Columns, after: Columns) -> dict[str, int]:
    losses = {}
    for name, columns in sorted(before.items()):
        source = table(name, *map(column, columns))
        count = select(func.count()).select_from(source)
        if name not in after:
            losses[f"the table {name}"] = connection.scalar(count) or 0
            continue
        for lost in sorted(columns - after[name]):
            values = count.where(source.c[lost].is_not(None))
            losses[f"the column {lost} of {name}"] = connection.scalar(values) or 0
    return losses
