"""What administrators store and do: views, preferences, operations, audit log. Rate limits."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from apidevices.models.base import PREFIX, Base, Id, UTCDateTime, primary_key
from apidevices.text import MAX_LENGTH


class SavedView(Base):
    """Filters of the list under a name. All administrators share the saved views."""

    __tablename__ = f"{PREFIX}saved_views"

    id: Mapped[int] = primary_key()
    name: Mapped[str] = mapped_column(String(MAX_LENGTH))
    query: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Preferences(Base):
    """How an account wants to see the pages, such as the columns of the list."""

    __tablename__ = f"{PREFIX}preferences"

    account: Mapped[str] = mapped_column(String(320), primary_key=True)
    choices: Mapped[dict[str, Any]] = mapped_column(JSON)


class Operation(Base):
    """A change of devices on the admin pages, and how far it has come: see ``operations``."""

    __tablename__ = f"{PREFIX}operations"
    __table_args__ = (Index("apidevices_operations_actor", "actor", "id"),)

    id: Mapped[int] = primary_key()
    kind: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str] = mapped_column(Text)
    arguments: Mapped[dict[str, Any]] = mapped_column(JSON)
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    changed: Mapped[int] = mapped_column(BigInteger, default=0)
    unchanged: Mapped[int] = mapped_column(BigInteger, default=0)
    # The id of the last device that is done. Devices are changed in the order of their ids.
    position: Mapped[int] = mapped_column(Id, default=0)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Why it ended before all devices were changed.
    error: Mapped[str | None] = mapped_column(Text)
    # The thread that runs it and, by the database's clock, until when no other may take over.
    lease: Mapped[str | None] = mapped_column(String(32))
    leased_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # The operation that this one undoes. Unique, so that it can be undone only once.
    undoes: Mapped[int | None] = mapped_column(Id, unique=True)


class OperationDevice(Base):
    """A device of an operation.

    ``before`` and ``after`` are its state before and after it was changed, and null if it was not.
    They tell what to restore when the operation is undone, and whether something has changed since.
    """

    __tablename__ = f"{PREFIX}operation_devices"
    __table_args__ = (
        Index("apidevices_operation_devices_operation", "operation_id", "device_id", unique=True),
        Index("apidevices_operation_devices_device", "device_id"),
    )

    id: Mapped[int] = primary_key()
    operation_id: Mapped[int] = mapped_column(Id, ForeignKey(f"{PREFIX}operations.id"))
    # Not a foreign key: PostgreSQL would lock all devices of a new operation, one by one.
    device_id: Mapped[int] = mapped_column(Id)
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class RateLimit(Base):
    """The state of a rate limit for one subject: see ``limits``."""

    __tablename__ = f"{PREFIX}rate_limits"

    key: Mapped[str] = mapped_column(String(320), primary_key=True)
    # When the limit has fully recovered, in microseconds since 1970.
    full_at: Mapped[int] = mapped_column(BigInteger, index=True)


class StoredSnapshot(Base):
    """Figures of the whole fleet, counted in the background: see ``snapshots``."""

    __tablename__ = f"{PREFIX}snapshots"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    # When the figures were right; None while they are counted for the first time.
    taken_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    figures: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # How long the latest count took.
    seconds: Mapped[float] = mapped_column(Float)
    # By the database's clock: until then, nobody else may count.
    leased_until: Mapped[datetime] = mapped_column(UTCDateTime)


class AuditEntry(Base):
    """An action by an administrator, or by a program on an administrator's behalf."""

    __tablename__ = f"{PREFIX}audit_log"
    # One for each filter of ``audit.LogFilters``, in the order of the log.
    __table_args__ = (
        Index("apidevices_audit_log_at", "at", "id"),
        Index("apidevices_audit_log_actor", "actor", "at", "id"),
        Index("apidevices_audit_log_action", "action", "at", "id"),
        Index("apidevices_audit_log_actor_action", "actor", "action", "at", "id"),
        Index("apidevices_audit_log_subject", "subject", "at", "id"),
    )

    id: Mapped[int] = primary_key()
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(64))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
