"""Add operations: changes of many devices that run in steps and can be undone.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

OPERATIONS = "apidevices_operations"
DEVICES = "apidevices_operation_devices"
Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        OPERATIONS,
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), nullable=False),
        sa.Column("position", Id, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("finished_at", Time, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("lease", sa.String(length=32), nullable=True),
        sa.Column("leased_until", Time, nullable=True),
        sa.Column("undoes", Id, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f(f"{OPERATIONS}_pkey")),
        sa.UniqueConstraint("undoes", name=op.f(f"{OPERATIONS}_undoes_key")),
    )
    op.create_index(f"{OPERATIONS}_actor", OPERATIONS, ["actor", "id"])
    op.create_table(
        DEVICES,
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("operation_id", Id, nullable=False),
        sa.Column("device_id", Id, nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f(f"{DEVICES}_pkey")),
        sa.ForeignKeyConstraint(
            ["operation_id"], [f"{OPERATIONS}.id"], name=op.f(f"{DEVICES}_operation_id_fkey")
        ),
    )
    op.create_index(f"{DEVICES}_operation", DEVICES, ["operation_id", "device_id"], unique=True)
    op.create_index(f"{DEVICES}_device", DEVICES, ["device_id"])


def downgrade() -> None:
    op.drop_table(DEVICES)
    op.drop_table(OPERATIONS)
