"""Index devices by the time of their registration, and make their deletion fast on SQLite.

Revision ID: 0010
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("apidevices_devices_first_seen", "apidevices_devices", ["first_seen_at", "id"])
    if op.get_bind().dialect.name == "sqlite":
        for statement in (NOTES, DROP, NOTE):
            op.execute(sa.text(statement))


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for statement in (
            UNINDEX_NOTED,
            "DROP TABLE apidevices_device_search_deleted",
            DROP,
            UNINDEX,
        ):
            op.execute(sa.text(statement))
    op.drop_index("apidevices_devices_first_seen", "apidevices_devices")


# Removing a key from the search index takes long, so deletion only notes it. AUTOINCREMENT makes
# SQLite remember the largest id that was ever noted, so that no new device gets it again.
NOTES = """
    CREATE TABLE apidevices_device_search_deleted (
        id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL
    )
"""
DROP = "DROP TRIGGER apidevices_device_search_delete"
NOTE = """
    CREATE TRIGGER apidevices_device_search_delete AFTER DELETE ON apidevices_devices
    BEGIN
        INSERT INTO apidevices_device_search_deleted (id, key)
        VALUES (old.id, old.search_key || char(10, 10));
    END
"""
UNINDEX_NOTED = """
    INSERT INTO apidevices_device_search (apidevices_device_search, rowid, key)
    SELECT 'delete', id, key FROM apidevices_device_search_deleted
"""
UNINDEX = """
    CREATE TRIGGER apidevices_device_search_delete AFTER DELETE ON apidevices_devices
    BEGIN
        INSERT INTO apidevices_device_search (apidevices_device_search, rowid, key)
        VALUES ('delete', old.id, old.search_key || char(10, 10));
    END
"""
