"""Create devices with their activity and history, tokens, and the audit log.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = ("devices",)
depends_on = None

big_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
timestamp = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "apidevices_api_tokens",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", timestamp, nullable=False),
        sa.Column("expires_at", timestamp, nullable=True),
        sa.Column("last_used_at", timestamp, nullable=True),
        sa.Column("revoked_at", timestamp, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("apidevices_api_tokens_pkey")),
        sa.UniqueConstraint("digest", name=op.f("apidevices_api_tokens_digest_key")),
    )
    op.create_table(
        "apidevices_audit_log",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("at", timestamp, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("apidevices_audit_log_pkey")),
    )
    op.create_index(
        "apidevices_audit_log_subject", "apidevices_audit_log", ["subject", "id"], unique=False
    )
    op.create_table(
        "apidevices_devices",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("identifier", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("application", sa.String(length=255), nullable=True),
        sa.Column("application_version", sa.String(length=255), nullable=True),
        sa.Column("os", sa.String(length=255), nullable=True),
        sa.Column("os_version", sa.String(length=255), nullable=True),
        sa.Column("manufacturer", sa.String(length=255), nullable=True),
        sa.Column("model", sa.String(length=255), nullable=True),
        sa.Column("first_seen_at", timestamp, nullable=False),
        sa.Column("blocked_at", timestamp, nullable=True),
        sa.Column("block_reason", sa.Text(), nullable=True),
        sa.Column("blocked_by", sa.Text(), nullable=True),
        sa.Column("search_key", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(blocked_at IS NULL AND blocked_by IS NULL AND block_reason IS NULL)"
            " OR (blocked_at IS NOT NULL AND blocked_by IS NOT NULL)",
            name="apidevices_devices_block_is_whole",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("apidevices_devices_pkey")),
        sa.UniqueConstraint("identifier", name=op.f("apidevices_devices_identifier_key")),
    )
    op.create_table(
        "apidevices_device_activity",
        sa.Column("device_id", big_integer, nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("last_active_at", timestamp, nullable=False),
        sa.Column("last_upload_at", timestamp, nullable=True),
        sa.Column("last_activity_at", timestamp, nullable=False),
        sa.Column("denied_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_denied_at", timestamp, nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["apidevices_devices.id"],
            name=op.f("apidevices_device_activity_device_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("apidevices_device_activity_pkey")),
    )
    op.create_index(
        "apidevices_device_activity_blocked_order",
        "apidevices_device_activity",
        [
            "blocked",
            sa.literal_column("last_activity_at DESC"),
            sa.literal_column("device_id DESC"),
        ],
        unique=False,
    )
    op.create_index(
        "apidevices_device_activity_order",
        "apidevices_device_activity",
        [sa.literal_column("last_activity_at DESC"), sa.literal_column("device_id DESC")],
        unique=False,
    )
    op.create_table(
        "apidevices_device_history",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("device_id", big_integer, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("at", timestamp, nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("token_id", big_integer, nullable=True),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.CheckConstraint("kind IN ('registered', 'changed')", name="apidevices_history_kind"),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["apidevices_devices.id"],
            name=op.f("apidevices_device_history_device_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["token_id"],
            ["apidevices_api_tokens.id"],
            name=op.f("apidevices_device_history_token_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("apidevices_device_history_pkey")),
    )
    op.create_index(
        "apidevices_device_history_device",
        "apidevices_device_history",
        ["device_id", "id"],
        unique=False,
    )
    op.create_table(
        "apidevices_device_tokens",
        sa.Column("device_id", big_integer, nullable=False),
        sa.Column("token_id", big_integer, nullable=False),
        sa.Column("first_used_at", timestamp, nullable=False),
        sa.Column("last_used_at", timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["apidevices_devices.id"],
            name=op.f("apidevices_device_tokens_device_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["token_id"],
            ["apidevices_api_tokens.id"],
            name=op.f("apidevices_device_tokens_token_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "device_id", "token_id", name=op.f("apidevices_device_tokens_pkey")
        ),
    )
    op.create_index(
        op.f("apidevices_device_tokens_token_id_idx"),
        "apidevices_device_tokens",
        ["token_id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index(
        op.f("apidevices_device_tokens_token_id_idx"), table_name="apidevices_device_tokens"
    )
    op.drop_table("apidevices_device_tokens")
    op.drop_index("apidevices_device_history_device", table_name="apidevices_device_history")
    op.drop_table("apidevices_device_history")
    op.drop_index("apidevices_device_activity_order", table_name="apidevices_device_activity")
    op.drop_index(
        "apidevices_device_activity_blocked_order", table_name="apidevices_device_activity"
    )
    op.drop_table("apidevices_device_activity")
    op.drop_table("apidevices_devices")
    op.drop_index("apidevices_audit_log_subject", table_name="apidevices_audit_log")
    op.drop_table("apidevices_audit_log")
    op.drop_table("apidevices_api_tokens")
