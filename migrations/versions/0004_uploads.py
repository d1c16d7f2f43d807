"""Create the uploads of the standalone application's client API.

Revision ID: 0004
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = "0001"

big_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
timestamp = sa.DateTime(timezone=True)


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("apidevices_uploads"):
        return  # databases created before this branch was split off already have this table
    op.create_table(
        "apidevices_uploads",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("device_id", big_integer, nullable=False),
        sa.Column("token_id", big_integer, nullable=False),
        sa.Column("received_at", timestamp, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["apidevices_devices.id"],
            name=op.f("apidevices_uploads_device_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["token_id"],
            ["apidevices_api_tokens.id"],
            name=op.f("apidevices_uploads_token_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("apidevices_uploads_pkey")),
    )
    op.create_index(
        "apidevices_uploads_device", "apidevices_uploads", ["device_id", "id"], unique=False
    )


def downgrade() -> None:
    op.drop_index("apidevices_uploads_device", table_name="apidevices_uploads")
    op.drop_table("apidevices_uploads")
