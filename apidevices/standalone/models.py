"""The tables of the standalone application: accounts and uploads."""

from datetime import datetime

from flask_security import RoleMixin, UserMixin
from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from apidevices.toolkit import MAX_NETWORK, TABLE_PREFIX, ApiToken, Base, Id, UTCDateTime

users_roles = Table(
    f"{TABLE_PREFIX}users_roles",
    Base.metadata,
    Column(
        "user_id", Id, ForeignKey(f"{TABLE_PREFIX}users.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("role_id", Id, ForeignKey(f"{TABLE_PREFIX}roles.id"), primary_key=True),
)


class Role(Base, RoleMixin):
    """A role of an account. The only role is ``admin``, which may do everything."""

    __tablename__ = f"{TABLE_PREFIX}roles"

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)


class User(Base, UserMixin):
    """An account."""

    __tablename__ = f"{TABLE_PREFIX}users"

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    email: Mapped[str] = mapped_column(String(255), unique=True)
    password: Mapped[str | None] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(default=True)
    # Sessions store this value, so that changing it ends all sessions of the account.
    fs_uniquifier: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # The SHA-256 digest of the secret in the account's reset link.
    reset_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    reset_expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    roles: Mapped[list[Role]] = relationship(  # type: ignore[assignment]  # the mixin declares a plain list
        secondary=users_roles
    )


class Upload(Base):
    """A data upload: the JSON text exactly as received."""

    __tablename__ = f"{TABLE_PREFIX}uploads"
    __table_args__ = (Index("apidevices_uploads_device", "device_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    device_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{TABLE_PREFIX}devices.id", ondelete="CASCADE")
    )
    token_id: Mapped[int] = mapped_column(Id, ForeignKey(f"{TABLE_PREFIX}api_tokens.id"))
    received_at: Mapped[datetime] = mapped_column(UTCDateTime)
    size: Mapped[int] = mapped_column(Integer)
    body: Mapped[str] = mapped_column(Text, deferred=True)

    token: Mapped[ApiToken] = relationship(lazy="joined", innerjoin=True)


class UserAddress(Base):
    """A network that an account has signed in from: an IPv4 address or an IPv6 /64."""

    __tablename__ = f"{TABLE_PREFIX}user_addresses"

    user_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{TABLE_PREFIX}users.id", ondelete="CASCADE"), primary_key=True
    )
    address: Mapped[str] = mapped_column(String(MAX_NETWORK), primary_key=True)
    last_used_at: Mapped[datetime] = mapped_column(UTCDateTime)
