"""Add indexes for the filters and the order of the audit log.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

LOG = "apidevices_audit_log"
HISTORY = "apidevices_device_history"
KINDS_BEFORE = ("registered", "changed", "blocked", "unblocked")
INDEXES = {
    f"{LOG}_at": ["at", "id"],
    f"{LOG}_actor": ["actor", "at", "id"],
    f"{LOG}_action": ["action", "at", "id"],
    f"{LOG}_actor_action": ["actor", "action", "at", "id"],
    f"{LOG}_subject": ["subject", "at", "id"],
}


def upgrade() -> None:
    op.drop_index(f"{LOG}_subject", LOG)
    for name, columns in INDEXES.items():
        op.create_index(name, LOG, columns)


def downgrade() -> None:
    # Older versions can't read them.
    history = sa.table(HISTORY, sa.column("kind"))
    op.execute(sa.delete(history).where(history.c.kind.not_in(KINDS_BEFORE)))
    for name in INDEXES:
        op.drop_index(name, LOG)
    op.create_index(f"{LOG}_subject", LOG, ["subject", "id"])
