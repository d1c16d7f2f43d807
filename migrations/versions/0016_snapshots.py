"""Add a table for figures of the whole fleet, which are counted in the background.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

SNAPSHOTS = "apidevices_snapshots"
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        SNAPSHOTS,
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("taken_at", Time, nullable=True),
        sa.Column("figures", sa.JSON(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("leased_until", Time, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f(f"{SNAPSHOTS}_pkey")),
    )


def downgrade() -> None:
    op.drop_table(SNAPSHOTS)
