"""Uploads to the client API, of the standalone application only.

Revision ID: 0004
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = "0001"

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("apidevices_uploads"):
        return  # a database from before this branch was split off has this table already
    op.create_table(
        "apidevices_uploads",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("device_id", number, nullable=False),
        sa.Column("token_id", number, nullable=False),
        sa.Column("received_at", moment, nullable=False),
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
