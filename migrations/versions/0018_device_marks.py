"""Store what devices seem to be: several devices, the same as an older one, or a blocked one.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

MARKS = "apidevices_device_marks"
Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        MARKS,
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("device_id", Id, nullable=False),
        sa.Column("other_id", Id, nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("first_at", Time, nullable=False),
        sa.Column("last_at", Time, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("dismissed_at", Time, nullable=True),
        sa.Column("dismissed_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f(f"{MARKS}_pkey")),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["apidevices_devices.id"],
            name=op.f(f"{MARKS}_device_id_fkey"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(f"{MARKS}_device", MARKS, ["device_id", "kind", "other_id"], unique=True)
    op.create_index(f"{MARKS}_other", MARKS, ["other_id"])
    is_open = sa.text("dismissed_at IS NULL")
    op.create_index(
        f"{MARKS}_open",
        MARKS,
        ["kind", "device_id"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def downgrade() -> None:
    op.drop_table(MARKS)
