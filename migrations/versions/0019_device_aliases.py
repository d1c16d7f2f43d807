"""Add aliases: identifiers of devices that were merged into others.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ALIASES = "apidevices_device_aliases"
DEVICES = "apidevices_devices"
HISTORY = "apidevices_device_history"
Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        ALIASES,
        sa.Column("identifier", sa.String(length=255), nullable=False),
        sa.Column("device_id", Id, nullable=False),
        sa.Column("former_id", Id, nullable=False),
        sa.Column("merged_at", Time, nullable=False),
        sa.Column("merged_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("identifier", name=op.f(f"{ALIASES}_pkey")),
        sa.ForeignKeyConstraint(
            ["device_id"],
            [f"{DEVICES}.id"],
            name=op.f(f"{ALIASES}_device_id_fkey"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(f"{ALIASES}_device", ALIASES, ["device_id"])
    op.create_index(f"{ALIASES}_former", ALIASES, ["former_id"])


def downgrade() -> None:
    # Older versions can't read them.
    history = sa.table(HISTORY, sa.column("kind"))
    op.execute(sa.delete(history).where(history.c.kind.in_(["merged", "alias_removed"])))
    op.drop_table(ALIASES)
