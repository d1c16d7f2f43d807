"""Store how many requests had been denied before a block, to count those since then.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("apidevices_devices", sa.Column("denied_before_block", sa.BigInteger))


def downgrade() -> None:
    op.drop_column("apidevices_devices", "denied_before_block")
