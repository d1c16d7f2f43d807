"""Create the search index, and one activity index per status.

Revision ID: 0003
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None

ACTIVITY = "apidevices_device_activity"
STATUSES = (("active", "blocked = 0", "NOT blocked"), ("blocked", "blocked = 1", "blocked"))
ORDER = [sa.text("last_activity_at DESC"), sa.text("device_id DESC")]


def upgrade() -> None:
    op.drop_index("apidevices_device_activity_order", ACTIVITY)
    op.drop_index("apidevices_device_activity_blocked_order", ACTIVITY)
    for name, on_sqlite, on_postgresql in STATUSES:
        op.create_index(
            f"{ACTIVITY}_{name}",
            ACTIVITY,
            ORDER,
            sqlite_where=sa.text(on_sqlite),
            postgresql_where=sa.text(on_postgresql),
        )
    for statement in FTS5 if op.get_bind().dialect.name == "sqlite" else GRAMS:
        op.execute(sa.text(statement))


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in ("insert", "update", "delete"):
            op.execute(f"DROP TRIGGER apidevices_device_search_{name}")
        op.execute("DROP TABLE apidevices_device_search_terms")
        op.execute("DROP TABLE apidevices_device_search")
    else:
        op.execute("DROP INDEX apidevices_devices_grams")
        op.execute("DROP FUNCTION apidevices_grams")
    op.drop_index("apidevices_device_activity_active", ACTIVITY)
    op.drop_index("apidevices_device_activity_blocked", ACTIVITY)
    op.create_index("apidevices_device_activity_order", ACTIVITY, ORDER)
    op.create_index(
        "apidevices_device_activity_blocked_order", ACTIVITY, [sa.text("blocked"), *ORDER]
    )


# The keys are already folded. With two line breaks after a key, each of its characters starts a
# trigram, so that the vocabulary also finds search texts of one or two characters.
UNINDEX = """
    INSERT INTO apidevices_device_search (apidevices_device_search, rowid, key)
    VALUES ('delete', old.id, old.search_key || char(10, 10));
"""
REINDEX = """
    INSERT INTO apidevices_device_search (rowid, key)
    VALUES (new.id, new.search_key || char(10, 10));
"""
FTS5 = (
    """
    CREATE VIRTUAL TABLE apidevices_device_search
    USING fts5(key, content='', tokenize="trigram case_sensitive 1")
    """,
    """
    CREATE VIRTUAL TABLE apidevices_device_search_terms
    USING fts5vocab(apidevices_device_search, instance)
    """,
    """
    INSERT INTO apidevices_device_search (rowid, key)
    SELECT id, search_key || char(10, 10) FROM apidevices_devices
    """,
    f"""
    CREATE TRIGGER apidevices_device_search_insert AFTER INSERT ON apidevices_devices
    BEGIN {REINDEX} END
    """,
    f"""
    CREATE TRIGGER apidevices_device_search_update AFTER UPDATE OF search_key ON apidevices_devices
    BEGIN {UNINDEX} {REINDEX} END
    """,
    f"""
    CREATE TRIGGER apidevices_device_search_delete AFTER DELETE ON apidevices_devices
    BEGIN {UNINDEX} END
    """,
)

GRAMS = (
    # Return all substrings of one, two and three characters. The high cost makes the planner use
    # the index instead of calling the function for each row.
    """
    CREATE FUNCTION apidevices_grams(key text) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE STRICT COST 10000 AS $$
    DECLARE
        grams text[] := '{}';
        before text := '';
        two_before text := '';
        this text;
    BEGIN
        FOREACH this IN ARRAY string_to_array(key, NULL) LOOP
            grams := grams || ARRAY[this, before || this, two_before || this];
            two_before := before || this;
            before := this;
        END LOOP;
        RETURN grams;
    END
    $$
    """,
    # New entries go to a pending list, which each search scans: keep it short.
    "CREATE INDEX apidevices_devices_grams ON apidevices_devices"
    " USING gin (apidevices_grams(search_key)) WITH (gin_pending_list_limit = 256)",
)
