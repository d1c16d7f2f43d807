"""Copy the search key to the activity, and add it to the activity indexes.

Revision ID: 0005
Revises: 0003
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

ACTIVITY = "apidevices_device_activity"
STATUSES = (("active", "blocked = 0", "NOT blocked"), ("blocked", "blocked = 1", "blocked"))
ORDER = [sa.text("last_activity_at DESC"), sa.text("device_id DESC")]


def upgrade() -> None:
    drop_indexes()
    op.add_column(ACTIVITY, sa.Column("search_key", sa.Text(), nullable=True))
    for statement in UPDATE if op.get_bind().dialect.name == "sqlite" else REWRITE:
        op.execute(sa.text(statement))
    create_indexes([*ORDER, "search_key"])


def downgrade() -> None:
    drop_indexes()
    op.drop_column(ACTIVITY, "search_key")
    create_indexes(ORDER)


def drop_indexes() -> None:
    for name, _, _ in STATUSES:
        op.drop_index(f"{ACTIVITY}_{name}", ACTIVITY)


def create_indexes(columns: Sequence[str | sa.TextClause]) -> None:
    for name, on_sqlite, on_postgresql in STATUSES:
        op.create_index(
            f"{ACTIVITY}_{name}",
            ACTIVITY,
            columns,
            sqlite_where=sa.text(on_sqlite),
            postgresql_where=sa.text(on_postgresql),
        )


# Keys that are too long for the indexes are left out.
UPDATE = (
    """
    UPDATE apidevices_device_activity SET search_key = (
        SELECT device.search_key FROM apidevices_devices AS device
        WHERE device.id = device_id AND length(device.search_key) <= 255
    )
    """,
)
# On PostgreSQL, an update of all rows would double the size of the table and its indexes.
REWRITE = (
    """
    CREATE TEMPORARY TABLE apidevices_new_activity AS
    SELECT device_id, blocked, last_active_at, last_upload_at, last_activity_at, denied_count,
        last_denied_at,
        CASE WHEN length(device.search_key) <= 255 THEN device.search_key END AS search_key
    FROM apidevices_device_activity JOIN apidevices_devices AS device ON device.id = device_id
    """,
    "TRUNCATE apidevices_device_activity",
    """
    INSERT INTO apidevices_device_activity (
        device_id, blocked, last_active_at, last_upload_at, last_activity_at, denied_count,
        last_denied_at, search_key
    )
    SELECT * FROM apidevices_new_activity ORDER BY device_id
    """,
    "DROP TABLE apidevices_new_activity",
)
