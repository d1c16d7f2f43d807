"""Archive devices: leave them out of the activity indexes, which the list reads, and index them.

No table is rewritten. Creating the indexes takes some seconds for a million devices.

Revision ID: 0020
Revises: 0019
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

ACTIVITY = "apidevices_device_activity"
KEYS = "apidevices_device_keys"
HISTORY = "apidevices_device_history"

ORDER: Sequence[str | sa.TextClause] = [
    sa.text("last_activity_at DESC"),
    sa.text("device_id DESC"),
    "search_key",
    "details_id",
    "last_upload_at",
]
LISTED = "archived_at IS NULL"
STATUSES = (("active", "blocked = 0", "NOT blocked"), ("blocked", "blocked = 1", "blocked"))


def upgrade() -> None:
    op.add_column(ACTIVITY, sa.Column("archived_at", sa.DateTime(timezone=True)))
    archived = sa.Column("archived", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column(KEYS, archived)
    drop_indexes("active", "blocked")
    for name, on_sqlite, on_postgresql in STATUSES:
        create_index(
            name,
            [*ORDER, "archived_at"],
            f"{on_sqlite} AND {LISTED}",
            f"{on_postgresql} AND {LISTED}",
        )
    create_index("archived", ["blocked", *ORDER, "archived_at"], *["archived_at IS NOT NULL"] * 2)
    replace_key_indexes(
        details=["details_id", "archived", "device_id"],
        name=["archived", "sort_key", "device_id", "details_id"],
        first_seen=["archived", "first_seen_at", "device_id", "details_id"],
    )
    for statement in ON_SQLITE if is_sqlite() else ON_POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    # Older versions can't read them.
    history = sa.table(HISTORY, sa.column("kind"))
    op.execute(sa.delete(history).where(history.c.kind.in_(["archived", "unarchived"])))
    for statement in OFF_SQLITE if is_sqlite() else OFF_POSTGRESQL:
        op.execute(statement)
    drop_indexes("active", "blocked", "archived")
    replace_key_indexes(
        details=["details_id", "device_id"],
        name=["sort_key", "device_id", "details_id"],
        first_seen=["first_seen_at", "device_id", "details_id"],
    )
    op.drop_column(KEYS, "archived")
    op.drop_column(ACTIVITY, "archived_at")
    for name, on_sqlite, on_postgresql in STATUSES:
        create_index(name, ORDER, on_sqlite, on_postgresql)


def is_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")


def drop_indexes(*names: str) -> None:
    for name in names:
        op.drop_index(f"{ACTIVITY}_{name}", ACTIVITY)


def create_index(
    name: str, columns: Sequence[str | sa.TextClause], on_sqlite: str, on_postgresql: str
) -> None:
    op.create_index(
        f"{ACTIVITY}_{name}",
        ACTIVITY,
        columns,
        sqlite_where=sa.text(on_sqlite),
        postgresql_where=sa.text(on_postgresql),
    )


def replace_key_indexes(**indexes: Sequence[str]) -> None:
    for name, columns in indexes.items():
        op.drop_index(f"{KEYS}_{name}", KEYS)
        op.create_index(f"{KEYS}_{name}", KEYS, columns)


ON_SQLITE = (
    """
    CREATE TRIGGER apidevices_list_archived AFTER UPDATE OF archived_at
    ON apidevices_device_activity
    WHEN (old.archived_at IS NULL) <> (new.archived_at IS NULL) BEGIN
        UPDATE apidevices_device_keys SET archived = new.archived_at IS NOT NULL
        WHERE device_id = new.device_id;
    END
    """,
    """
    CREATE TRIGGER apidevices_list_insert_archived AFTER INSERT ON apidevices_device_activity
    WHEN new.archived_at IS NOT NULL BEGIN
        UPDATE apidevices_device_keys SET archived = 1 WHERE device_id = new.device_id;
    END
    """,
)
OFF_SQLITE = (
    "DROP TRIGGER apidevices_list_archived",
    "DROP TRIGGER apidevices_list_insert_archived",
)

# Like activity writes, changes of a device lock its activity before its keys. Otherwise they could
# deadlock with a write that brings the device back from the archive.
ON_POSTGRESQL = (
    """
    CREATE FUNCTION apidevices_list_lock() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM FROM apidevices_device_activity WHERE device_id = new.id FOR NO KEY UPDATE;
        RETURN NULL;
    END
    $$
    """,
    # Triggers fire in the order of their names: this one before apidevices_list_update.
    """
    CREATE TRIGGER apidevices_list_lock
    AFTER UPDATE OF application, application_version, os, os_version, manufacturer, model,
        search_key, first_seen_at ON apidevices_devices
    FOR EACH ROW EXECUTE FUNCTION apidevices_list_lock()
    """,
    """
    CREATE FUNCTION apidevices_list_archived() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE apidevices_device_keys SET archived = new.archived_at IS NOT NULL
        WHERE device_id = new.device_id;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER apidevices_list_archived AFTER UPDATE OF archived_at
    ON apidevices_device_activity FOR EACH ROW
    WHEN ((old.archived_at IS NULL) <> (new.archived_at IS NULL))
    EXECUTE FUNCTION apidevices_list_archived()
    """,
    """
    CREATE TRIGGER apidevices_list_insert_archived AFTER INSERT ON apidevices_device_activity
    FOR EACH ROW WHEN (new.archived_at IS NOT NULL)
    EXECUTE FUNCTION apidevices_list_archived()
    """,
)
OFF_POSTGRESQL = (
    "DROP TRIGGER apidevices_list_lock ON apidevices_devices",
    "DROP FUNCTION apidevices_list_lock",
    "DROP TRIGGER apidevices_list_insert_archived ON apidevices_device_activity",
    "DROP TRIGGER apidevices_list_archived ON apidevices_device_activity",
    "DROP FUNCTION apidevices_list_archived",
)
