"""Add password reset links to accounts.

Revision ID: 0011b
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0011b"
down_revision = "0004"
branch_labels = None
depends_on = None

USERS = "apidevices_users"


def upgrade() -> None:
    op.add_column(USERS, sa.Column("reset_digest", sa.LargeBinary(length=32), nullable=True))
    op.add_column(USERS, sa.Column("reset_expires_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column(USERS, "reset_expires_at")
    op.drop_column(USERS, "reset_digest")
