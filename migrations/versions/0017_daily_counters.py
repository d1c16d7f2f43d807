"""Count requests per device and day, and denied requests in groups of a day.

Revision ID: 0017
Revises: 0016
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

DEVICE_DAYS = "apidevices_device_days"
DENIALS = "apidevices_device_denials"
FLEET_DAYS = "apidevices_fleet_days"
Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        DEVICE_DAYS,
        *_device_and_day(DEVICE_DAYS),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("uploads", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        DENIALS,
        *_device_and_day(DENIALS),
        sa.Column("denied", sa.BigInteger(), nullable=False),
        sa.Column("first_at", Time, nullable=False),
        sa.Column("last_at", Time, nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("token_id", Id, nullable=True),
    )
    op.create_table(
        FLEET_DAYS,
        sa.Column("day", sa.Date(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)
            for name in ("requests", "uploads", "denied", "registered")
        ),
        sa.PrimaryKeyConstraint("day", name=op.f(f"{FLEET_DAYS}_pkey")),
    )


def downgrade() -> None:
    for table in (FLEET_DAYS, DENIALS, DEVICE_DAYS):
        op.drop_table(table)


def _device_and_day(table: str) -> list[Any]:
    return [
        sa.Column("device_id", Id, autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "day", name=op.f(f"{table}_pkey")),
        sa.ForeignKeyConstraint(
            ["device_id"],
            ["apidevices_devices.id"],
            name=op.f(f"{table}_device_id_fkey"),
            ondelete="CASCADE",
        ),
    ]
