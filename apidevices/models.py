"""The tables. Everything lies under the prefix ``apidevices_``, on a base of our own."""

from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from apidevices.text import MAX_LENGTH

PREFIX = "apidevices_"


class Base(DeclarativeBase):
    """Plain declarative base: the host's own models and metadata stay apart from ours."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        }
    )


class UTCDateTime(TypeDecorator[datetime]):
    """A timezone-aware datetime in UTC: ``timestamptz`` on PostgreSQL, sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; refuse a naive datetime."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone can't be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a timezone-aware datetime in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


MAX_ID = 2**63 - 1

# SQLite numbers rows by itself only where the type is INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")
Detail = String(MAX_LENGTH)


def _id() -> Mapped[int]:
    return mapped_column(Id, primary_key=True, autoincrement=True)


class Device(Base):
    """What is known of a device and changes rarely."""

    __tablename__ = f"{PREFIX}devices"
    __table_args__ = (
        CheckConstraint(
            "(blocked_at IS NULL AND blocked_by IS NULL AND block_reason IS NULL)"
            " OR (blocked_at IS NOT NULL AND blocked_by IS NOT NULL)",
            name="apidevices_devices_block_is_whole",
        ),
    )

    id: Mapped[int] = _id()
    identifier: Mapped[str] = mapped_column(String(MAX_LENGTH), unique=True)
    name: Mapped[str | None] = mapped_column(String(MAX_LENGTH))
    application: Mapped[str | None] = mapped_column(Detail)
    application_version: Mapped[str | None] = mapped_column(Detail)
    os: Mapped[str | None] = mapped_column(Detail)
    os_version: Mapped[str | None] = mapped_column(Detail)
    manufacturer: Mapped[str | None] = mapped_column(Detail)
    model: Mapped[str | None] = mapped_column(Detail)
    first_seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    blocked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    block_reason: Mapped[str | None] = mapped_column(Text)
    blocked_by: Mapped[str | None] = mapped_column(Text)
    # Name and identifier, case folded: what the list's search looks in, in any alphabet. The
    # database keeps an index of its substrings: see listing/search.py.
    search_key: Mapped[str] = mapped_column(Text)

    activity: Mapped["DeviceActivity"] = relationship(lazy="joined", innerjoin=True)

    @property
    def display_name(self) -> str:
        """The name that an administrator gave, or the identifier."""
        return self.name or self.identifier

    @property
    def status(self) -> Literal["active", "blocked"]:
        """``blocked`` or ``active``."""
        return "active" if self.blocked_at is None else "blocked"


class DeviceActivity(Base):
    """One narrow row a device, rewritten often; apart so that the wide row isn't."""

    __tablename__ = f"{PREFIX}device_activity"

    device_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE"), primary_key=True
    )
    # A copy of "devices.blocked_at is set", written in the same transaction: it lets one row decide
    # what an activity time may change, and which index of the list's order it is in.
    blocked: Mapped[bool] = mapped_column(default=False)
    last_active_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_upload_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # The list's column and order: blocked_at of a blocked device, last_active_at of any other.
    last_activity_at: Mapped[datetime] = mapped_column(UTCDateTime)
    denied_count: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    last_denied_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


# The order of the list, once for each status: every row is in one of them, so that a new time
# moves one entry.
for _name, _value in (("active", 0), ("blocked", 1)):
    Index(
        f"apidevices_device_activity_{_name}",
        DeviceActivity.__table__.c.last_activity_at.desc(),
        DeviceActivity.__table__.c.device_id.desc(),
        # Just as queries say it: SQLite uses no other.
        sqlite_where=text(f"blocked = {_value}"),
        postgresql_where=text("blocked" if _value else "NOT blocked"),
    )


class ApiToken(Base):
    """A token: its digest, never the token itself."""

    __tablename__ = f"{PREFIX}api_tokens"

    id: Mapped[int] = _id()
    name: Mapped[str] = mapped_column(String(MAX_LENGTH))
    prefix: Mapped[str] = mapped_column(String(16))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    def status_at(self, moment: datetime) -> Literal["active", "expired", "revoked"]:
        """``revoked``, ``expired`` or ``active`` at a time."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= moment else "active"


class DeviceHistory(Base):
    """What a device reported of itself, when that was new.

    ``changes`` maps each changed field to ``[old, new]``; ``old`` is null where nothing was known.
    """

    __tablename__ = f"{PREFIX}device_history"
    __table_args__ = (
        CheckConstraint("kind IN ('registered', 'changed')", name="apidevices_history_kind"),
        Index("apidevices_device_history_device", "device_id", "id"),
    )

    id: Mapped[int] = _id()
    device_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE")
    )
    kind: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    changes: Mapped[dict[str, list[str | None]]] = mapped_column(JSON)
    token_id: Mapped[int | None] = mapped_column(Id, ForeignKey(f"{PREFIX}api_tokens.id"))
    address: Mapped[str | None] = mapped_column(String(64))

    token: Mapped[ApiToken | None] = relationship(lazy="joined")


class DeviceToken(Base):
    """Which tokens a device has used: blocking it revokes none of them, so they must be seen.

    ``last_used_at`` is a minute behind at most.
    """

    __tablename__ = f"{PREFIX}device_tokens"

    device_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE"), primary_key=True
    )
    token_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{PREFIX}api_tokens.id"), primary_key=True, index=True
    )
    first_used_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime] = mapped_column(UTCDateTime)

    token: Mapped[ApiToken] = relationship(lazy="joined", innerjoin=True)


class AuditEntry(Base):
    """What a person, or a program in a person's name, did."""

    __tablename__ = f"{PREFIX}audit_log"
    __table_args__ = (Index("apidevices_audit_log_subject", "subject", "id"),)

    id: Mapped[int] = _id()
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(64))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
