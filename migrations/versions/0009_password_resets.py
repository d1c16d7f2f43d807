"""Add password reset links to accounts.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

USERS = "apidevices_users"


def upgrade() -> None:
    op.add_column(USERS, sa.Column("reset_digest", sa.LargeBinary(length=32), nullable=True))
    op.add_column(USERS, sa.Column("reset_expires_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column(USERS, "reset_expires_at")
    op.drop_column(USERS, "reset_digest")
