"""Add rate limits, and the limits of a token.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TOKENS = "apidevices_api_tokens"


def upgrade() -> None:
    op.create_table(
        "apidevices_rate_limits",
        sa.Column("key", sa.String(length=320), nullable=False),
        sa.Column("full_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("apidevices_rate_limits_pkey")),
    )
    op.create_index(
        op.f("apidevices_rate_limits_full_at_idx"), "apidevices_rate_limits", ["full_at"]
    )
    op.add_column(
        TOKENS,
        sa.Column("requires_device_id", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column(TOKENS, sa.Column("new_devices_per_hour", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column(TOKENS, "new_devices_per_hour")
    op.drop_column(TOKENS, "requires_device_id")
    op.drop_table("apidevices_rate_limits")
