"""Add tags, notes, ends of blocks, who was denied, saved views, preferences, and token creators.

The history gets the kinds "blocked" and "unblocked", and who did it.

Revision ID: 0011
Revises: 0010
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

DEVICES = "apidevices_devices"
ACTIVITY = "apidevices_device_activity"
HISTORY = "apidevices_device_history"
TAGS = "apidevices_device_tags"
Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Time = sa.DateTime(timezone=True)

# Servers of older versions unblock devices without removing the end of the block. It would end the
# next block, too.
TRIGGERS = {
    "sqlite": [
        """
        CREATE TRIGGER apidevices_unblocked AFTER UPDATE OF blocked_at ON apidevices_devices
        WHEN new.blocked_at IS NULL AND new.blocked_until IS NOT NULL BEGIN
            UPDATE apidevices_devices SET blocked_until = NULL WHERE id = new.id;
        END
        """
    ],
    "postgresql": [
        """
        CREATE FUNCTION apidevices_unblocked() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            new.blocked_until := NULL;
            RETURN new;
        END
        $$
        """,
        """
        CREATE TRIGGER apidevices_unblocked BEFORE UPDATE OF blocked_at ON apidevices_devices
        FOR EACH ROW WHEN (new.blocked_at IS NULL AND new.blocked_until IS NOT NULL)
        EXECUTE FUNCTION apidevices_unblocked()
        """,
    ],
}


def upgrade() -> None:
    op.add_column(DEVICES, sa.Column("note", sa.Text(), nullable=True))
    op.add_column(DEVICES, sa.Column("blocked_until", Time, nullable=True))
    ends = sa.text("blocked_until IS NOT NULL")
    op.create_index(
        "apidevices_devices_blocked_until",
        DEVICES,
        ["blocked_until"],
        sqlite_where=ends,
        postgresql_where=ends,
    )
    op.add_column(ACTIVITY, sa.Column("last_denied_address", sa.String(length=64), nullable=True))
    op.add_column(ACTIVITY, sa.Column("last_denied_token_id", Id, nullable=True))
    op.add_column("apidevices_api_tokens", sa.Column("created_by", sa.Text(), nullable=True))
    op.create_table(
        TAGS,
        sa.Column("device_id", Id, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "key", name=op.f(f"{TAGS}_pkey")),
        sa.ForeignKeyConstraint(
            ["device_id"],
            [f"{DEVICES}.id"],
            name=op.f(f"{TAGS}_device_id_fkey"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("apidevices_device_tags_key", TAGS, ["key", "device_id"])
    op.create_table(
        "apidevices_saved_views",
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("apidevices_saved_views_pkey")),
    )
    op.create_table(
        "apidevices_preferences",
        sa.Column("account", sa.String(length=320), nullable=False),
        sa.Column("choices", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("apidevices_preferences_pkey")),
    )
    if op.get_bind().dialect.name == "sqlite":
        _replace_history("", "actor TEXT, details JSON,")
    else:
        op.drop_constraint("apidevices_history_kind", HISTORY, type_="check")
        op.add_column(HISTORY, sa.Column("actor", sa.Text(), nullable=True))
        op.add_column(HISTORY, sa.Column("details", sa.JSON(), nullable=True))
    for statement in TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    on_table = "" if is_sqlite else f" ON {DEVICES}"
    op.execute(f"DROP TRIGGER IF EXISTS apidevices_unblocked{on_table}")
    if not is_sqlite:
        op.execute("DROP FUNCTION IF EXISTS apidevices_unblocked")
    end_blocks()
    history = sa.table(HISTORY, sa.column("kind"))
    op.execute(sa.delete(history).where(history.c.kind.not_in(["registered", "changed"])))
    kinds = "kind IN ('registered', 'changed')"
    if op.get_bind().dialect.name == "sqlite":
        _replace_history(f"CONSTRAINT apidevices_history_kind CHECK ({kinds}),", "")
    else:
        op.drop_column(HISTORY, "details")
        op.drop_column(HISTORY, "actor")
        op.create_check_constraint("apidevices_history_kind", HISTORY, kinds)
    op.drop_table("apidevices_preferences")
    op.drop_table("apidevices_saved_views")
    op.drop_table(TAGS)
    op.drop_column("apidevices_api_tokens", "created_by")
    op.drop_column(ACTIVITY, "last_denied_token_id")
    op.drop_column(ACTIVITY, "last_denied_address")
    op.drop_index("apidevices_devices_blocked_until", DEVICES)
    op.drop_column(DEVICES, "blocked_until")
    op.drop_column(DEVICES, "note")


def end_blocks() -> None:
    """Unblock devices whose blocks have ended: older versions would go on denying them."""
    devices = sa.table(
        DEVICES,
        *map(sa.column, ("id", "blocked_at", "block_reason", "blocked_by")),
        sa.column("blocked_until", Time),
    )
    activity = sa.table(
        ACTIVITY,
        *map(sa.column, ("device_id", "blocked", "last_activity_at", "last_active_at")),
    )
    now = datetime.now(UTC)
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    ended = devices.c.blocked_until <= (now.replace(tzinfo=None) if is_sqlite else now)
    op.execute(
        sa.update(activity)
        .where(activity.c.device_id.in_(sa.select(devices.c.id).where(ended)))
        .values(blocked=sa.false(), last_activity_at=activity.c.last_active_at)
    )
    op.execute(
        sa.update(devices)
        .where(ended)
        .values(blocked_at=sa.null(), block_reason=sa.null(), blocked_by=sa.null())
    )


def _replace_history(constraint: str, columns: str) -> None:
    """Copy SQLite's history table: SQLite can't remove or add a constraint."""
    columns_of_both = ["id", "device_id", "kind", "at", "changes", "token_id", "address"]
    old, new = (
        sa.table(name, *map(sa.column, columns_of_both)) for name in (HISTORY, f"{HISTORY}_new")
    )
    op.execute(
        sa.text(
            f"""
            CREATE TABLE {HISTORY}_new (
                id INTEGER NOT NULL,
                device_id INTEGER NOT NULL,
                kind VARCHAR(16) NOT NULL,
                at DATETIME NOT NULL,
                changes JSON NOT NULL,
                token_id INTEGER,
                address VARCHAR(64),
                {columns}
                {constraint}
                CONSTRAINT {HISTORY}_pkey PRIMARY KEY (id),
                CONSTRAINT {HISTORY}_device_id_fkey FOREIGN KEY(device_id)
                    REFERENCES {DEVICES} (id) ON DELETE CASCADE,
                CONSTRAINT {HISTORY}_token_id_fkey FOREIGN KEY(token_id)
                    REFERENCES apidevices_api_tokens (id)
            )
            """
        )
    )
    op.execute(sa.insert(new).from_select(columns_of_both, sa.select(old)))
    op.drop_table(HISTORY)
    op.rename_table(f"{HISTORY}_new", HISTORY)
    op.create_index(f"{HISTORY}_device", HISTORY, ["device_id", "id"])
