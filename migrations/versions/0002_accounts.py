"""Create the accounts and roles of the standalone application.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = None
branch_labels = ("standalone",)
depends_on = None

big_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
timestamp = sa.DateTime(timezone=True)


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("apidevices_users"):
        return  # databases created before this branch was split off already have these tables
    op.create_table(
        "apidevices_roles",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("apidevices_roles_pkey")),
        sa.UniqueConstraint("name", name=op.f("apidevices_roles_name_key")),
    )
    op.create_table(
        "apidevices_users",
        sa.Column("id", big_integer, autoincrement=True, nullable=False),
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("fs_uniquifier", sa.String(length=64), nullable=False),
        sa.Column("created_at", timestamp, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("apidevices_users_pkey")),
        sa.UniqueConstraint("email", name=op.f("apidevices_users_email_key")),
        sa.UniqueConstraint("fs_uniquifier", name=op.f("apidevices_users_fs_uniquifier_key")),
    )
    op.create_table(
        "apidevices_users_roles",
        sa.Column("user_id", big_integer, nullable=False),
        sa.Column("role_id", big_integer, nullable=False),
        sa.ForeignKeyConstraint(
            ["role_id"], ["apidevices_roles.id"], name=op.f("apidevices_users_roles_role_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["apidevices_users.id"],
            name=op.f("apidevices_users_roles_user_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "role_id", name=op.f("apidevices_users_roles_pkey")),
    )
    roles = sa.table("apidevices_roles", sa.column("name", sa.String))
    op.bulk_insert(roles, [{"name": "admin"}])


def downgrade() -> None:
    op.drop_table("apidevices_users_roles")
    op.drop_table("apidevices_users")
    op.drop_table("apidevices_roles")
