"""Index the addresses at which blocked devices were denied, to recognize them when they come back.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

INDEX = "apidevices_device_activity_denied_address"


def upgrade() -> None:
    op.create_index(
        INDEX,
        "apidevices_device_activity",
        ["last_denied_address", "last_activity_at"],
        sqlite_where=sa.text("blocked = 1"),
        postgresql_where=sa.text("blocked"),
    )


def downgrade() -> None:
    op.drop_index(INDEX, "apidevices_device_activity")
