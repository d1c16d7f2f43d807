"""Add aliases: identifiers of devices that were merged into others.

Revision ID: 0019
Revises: 0018
"""

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ALIASES = "apidevices_device_aliases"
DEVICES = "apidevices_devices"
ACTIVITY = "apidevices_device_activity"
HISTORY = "apidevices_device_history"
BLOCK = ("blocked_at", "blocked_until", "block_reason", "blocked_by")
SHORT_KEY = 255
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
    _keep_blocks()
    op.drop_table(ALIASES)


def _keep_blocks() -> None:
    """Insert blocked devices for the aliases of blocked devices.

    Their requests would otherwise register new devices, which are not blocked. Nothing but the
    block is known about them, as after a deletion that keeps the block.
    """
    # Times have no type here, so that they are copied as they are stored.
    times = ("last_active_at", "last_activity_at")
    device = sa.table(
        DEVICES, *map(sa.column, ("id", "identifier", "search_key", "first_seen_at", *BLOCK))
    )
    activity = sa.table(
        ACTIVITY,
        *map(sa.column, ("device_id", "search_key", *times)),
        sa.column("blocked", sa.Boolean),
    )
    alias = sa.table(ALIASES, *map(sa.column, ("identifier", "device_id", "former_id")))
    connection = op.get_bind()
    found = connection.execute(
        sa.select(
            alias.c.former_id.label("id"),
            alias.c.identifier,
            device.c.blocked_at.label("first_seen_at"),
            *(device.c[name] for name in BLOCK),
        )
        .join_from(alias, device, alias.c.device_id == device.c.id)
        .where(device.c.blocked_at.is_not(None))
        .order_by(alias.c.former_id)
    ).mappings()
    devices = [{**row, "search_key": _folded(row["identifier"])} for row in found]
    if not devices:
        return
    connection.execute(sa.insert(device), devices)
    connection.execute(
        sa.insert(activity),
        [
            {
                "device_id": row["id"],
                "blocked": True,
                **dict.fromkeys(times, row["blocked_at"]),
                "search_key": row["search_key"] if len(row["search_key"]) <= SHORT_KEY else None,
            }
            for row in devices
        ],
    )


def _folded(identifier: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", identifier).casefold())
