"""Add the addresses that accounts have signed in from.

Revision ID: 0008
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0004"
branch_labels = None
depends_on = None

big_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "apidevices_user_addresses",
        sa.Column("user_id", big_integer, nullable=False),
        sa.Column("address", sa.String(length=43), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["apidevices_users.id"],
            name=op.f("apidevices_user_addresses_user_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "address", name=op.f("apidevices_user_addresses_pkey")),
    )


def downgrade() -> None:
    op.drop_table("apidevices_user_addresses")
