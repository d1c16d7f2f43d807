"""Add the sealed text of a new token.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TOKENS = "apidevices_api_tokens"


def upgrade() -> None:
    op.add_column(TOKENS, sa.Column("sealed_text", sa.LargeBinary(length=128), nullable=True))


def downgrade() -> None:
    op.drop_column(TOKENS, "sealed_text")
