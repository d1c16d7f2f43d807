"""The database models. All tables and indexes have the prefix ``apidevices_``."""

from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ColumnElement,
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
    and_,
    false,
    or_,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship
from sqlalchemy.sql.functions import GenericFunction

from apidevices import clock
from apidevices.text import MAX_LENGTH

PREFIX = "apidevices_"


class Base(DeclarativeBase):
    """The declarative base, separate from the models and metadata of the host application."""

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
        """Convert to UTC.

        Raises:
            ValueError: The datetime is naive.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("Can't store a naive datetime. Pass one with a time zone.")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a timezone-aware datetime in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


MAX_ID = 2**63 - 1
MAX_ADDRESS = 64

# SQLite autoincrements a primary key only if its type is INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")
Detail = String(MAX_LENGTH)
ByCodePoint = Text().with_variant(Text(collation="C"), "postgresql")


def _id() -> Mapped[int]:
    return mapped_column(Id, primary_key=True, autoincrement=True)


class DeviceTag(Base):
    """A tag of a device. ``key`` is the folded tag, so that tags don't differ in case only."""

    __tablename__ = f"{PREFIX}device_tags"
    __table_args__ = (Index("apidevices_device_tags_key", "key", "device_id"),)

    device_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    tag: Mapped[str] = mapped_column(Text)


class _Joined(GenericFunction[str]):
    """An aggregate function that joins texts with commas. Their order is undefined."""

    name = "apidevices_joined"
    type = Text()
    inherit_cache = True


@compiles(_Joined, "sqlite")
def _group_concat(joined: _Joined, compiler: Any, **options: Any) -> str:
    return f"group_concat({compiler.process(joined.clauses, **options)})"


@compiles(_Joined, "postgresql")
def _string_agg(joined: _Joined, compiler: Any, **options: Any) -> str:
    return f"string_agg({compiler.process(joined.clauses, **options)}, ',')"


class Device(Base):
    """A device, without its activity."""

    __tablename__ = f"{PREFIX}devices"
    __table_args__ = (
        CheckConstraint(
            "(blocked_at IS NULL AND blocked_by IS NULL AND block_reason IS NULL)"
            " OR (blocked_at IS NOT NULL AND blocked_by IS NOT NULL)",
            name="apidevices_devices_block_is_whole",
        ),
        Index(
            "apidevices_devices_blocked_until",
            "blocked_until",
            sqlite_where=text("blocked_until IS NOT NULL"),
            postgresql_where=text("blocked_until IS NOT NULL"),
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
    # The folded name and identifier, see listing/search.py. The database indexes its substrings.
    # Copied to DeviceActivity.search_key in the same transaction.
    search_key: Mapped[str] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    # When the block ends by itself; None for a block without an end.
    blocked_until: Mapped[datetime | None] = mapped_column(UTCDateTime)

    activity: Mapped["DeviceActivity"] = relationship(lazy="joined", innerjoin=True)
    # Tags contain no commas. Loading them in the same query takes half the time of a relationship.
    joined_tags: Mapped[str | None] = column_property(
        select(_Joined(DeviceTag.tag)).where(DeviceTag.device_id == id).scalar_subquery(),
        expire_on_flush=False,
    )

    @property
    def tags(self) -> list[str]:
        """The tags in alphabetical order."""
        return sorted(self.joined_tags.split(","), key=str.casefold) if self.joined_tags else []

    @property
    def display_name(self) -> str:
        """The name set by an administrator, or the identifier if there is none."""
        return self.name or self.identifier

    @property
    def status(self) -> Literal["active", "blocked"]:
        """Whether the device is blocked, as text for pages and JSON."""
        return "blocked" if self.is_blocked_at(clock.now()) else "active"

    def is_blocked_at(self, moment: datetime) -> bool:
        """Return whether the device is blocked at a time."""
        if self.blocked_at is None:
            return False
        return self.blocked_until is None or self.blocked_until > moment

    @classmethod
    def blocked_condition(cls, moment: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
        """Return the condition that a device is blocked at a time."""
        no_end = or_(cls.blocked_until.is_(None), cls.blocked_until > moment)
        return and_(cls.blocked_at.is_not(None), no_end)

    def clear_block(self) -> None:
        """Remove the block from this object and its activity."""
        self.blocked_at = self.block_reason = self.blocked_by = self.blocked_until = None
        self.activity.blocked = False
        self.activity.last_activity_at = self.activity.last_active_at


class Details(Base):
    """A combination of details that devices report, stored once for all of them.

    Triggers of the database insert it (migration 0012). ``key`` identifies the combination.
    """

    __tablename__ = f"{PREFIX}details"
    __table_args__ = (
        Index("apidevices_details_application", "application", "application_version"),
        *(Index(f"apidevices_details_{field}", field) for field in ("os", "manufacturer", "model")),
    )

    id: Mapped[int] = _id()
    key: Mapped[str] = mapped_column(Text, unique=True)
    application: Mapped[str | None] = mapped_column(Detail)
    application_version: Mapped[str | None] = mapped_column(Detail)
    os: Mapped[str | None] = mapped_column(Detail)
    os_version: Mapped[str | None] = mapped_column(Detail)
    manufacturer: Mapped[str | None] = mapped_column(Detail)
    model: Mapped[str | None] = mapped_column(Detail)


class DeviceKeys(Base):
    """What the list is filtered and sorted by, one narrow row per device.

    Triggers of the database copy it from the device (migration 0012). ``sort_key`` is the folded
    name, or identifier, see listing/search.py.
    """

    __tablename__ = f"{PREFIX}device_keys"
    __table_args__ = (
        Index("apidevices_device_keys_details", "details_id", "device_id"),
        Index("apidevices_device_keys_name", "sort_key", "device_id", "details_id"),
        Index("apidevices_device_keys_first_seen", "first_seen_at", "device_id", "details_id"),
    )

    device_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE"), primary_key=True
    )
    details_id: Mapped[int] = mapped_column(Id)
    sort_key: Mapped[str] = mapped_column(ByCodePoint)
    first_seen_at: Mapped[datetime] = mapped_column(UTCDateTime)


class DeviceActivity(Base):
    """The activity of a device, one narrow row per device.

    It has its own table because it changes often: updates must not rewrite the wide row of
    ``Device``.
    """

    __tablename__ = f"{PREFIX}device_activity"

    device_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE"), primary_key=True
    )
    # Whether Device.blocked_at is set, copied in the same transaction. Activity writes and the
    # activity indexes depend on it and must not need a join.
    blocked: Mapped[bool] = mapped_column(default=False)
    last_active_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_upload_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # The list is sorted by this: blocked_at for blocked devices, last_active_at for all others.
    last_activity_at: Mapped[datetime] = mapped_column(UTCDateTime)
    denied_count: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    last_denied_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # A copy of Device.search_key for the activity indexes, or NULL if it is too long for them.
    search_key: Mapped[str | None] = mapped_column(Text)
    last_denied_address: Mapped[str | None] = mapped_column(String(MAX_ADDRESS))
    last_denied_token_id: Mapped[int | None] = mapped_column(Id)
    # A copy of DeviceKeys.details_id for the activity indexes, made by triggers.
    details_id: Mapped[int | None] = mapped_column(Id)


# The activity indexes: one partial index per status, sorted like the list. Each row is in exactly
# one of them, so that an activity write moves a single index entry. With the search key in the
# index, a search reads the list in order without touching a table.
for _name, _value in (("active", 0), ("blocked", 1)):
    Index(
        f"apidevices_device_activity_{_name}",
        DeviceActivity.__table__.c.last_activity_at.desc(),
        DeviceActivity.__table__.c.device_id.desc(),
        DeviceActivity.__table__.c.search_key,
        DeviceActivity.__table__.c.details_id,
        DeviceActivity.__table__.c.last_upload_at,
        # Same form as in queries: SQLite does not recognize an equivalent condition.
        sqlite_where=text(f"blocked = {_value}"),
        postgresql_where=text("blocked" if _value else "NOT blocked"),
    )


class ApiToken(Base):
    """An API Devices token. Only its digest is stored, never the token itself."""

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
    # Whether requests with this token need a device identifier, in addition to the settings.
    requires_device_id: Mapped[bool] = mapped_column(default=False, server_default=false())
    # Overrides APIDEVICES_NEW_DEVICES_PER_HOUR; 0 for no limit.
    new_devices_per_hour: Mapped[int | None] = mapped_column(Integer)
    # The token, encrypted with a key that is not in the database, until it has been shown: see
    # tokens.seal().
    sealed_text: Mapped[bytes | None] = mapped_column(LargeBinary(128))
    created_by: Mapped[str | None] = mapped_column(Text)

    def status_at(self, moment: datetime) -> Literal["active", "expired", "revoked"]:
        """Return the status of the token at a given time; ``revoked`` takes precedence."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= moment else "active"


REPORTS = ("registered", "changed")
"""The kinds of history entries that devices cause."""


class DeviceHistory(Base):
    """A device's registration, a change of its details, a block or its end.

    ``changes`` maps each changed field to ``[old, new]``; ``old`` is null if it was unknown.
    ``actor`` and ``details`` are those of the audit log, for what administrators do.
    """

    __tablename__ = f"{PREFIX}device_history"
    __table_args__ = (Index("apidevices_device_history_device", "device_id", "id"),)

    id: Mapped[int] = _id()
    device_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE")
    )
    kind: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    changes: Mapped[dict[str, list[str | None]]] = mapped_column(JSON)
    token_id: Mapped[int | None] = mapped_column(Id, ForeignKey(f"{PREFIX}api_tokens.id"))
    address: Mapped[str | None] = mapped_column(String(MAX_ADDRESS))
    actor: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))

    token: Mapped[ApiToken | None] = relationship(lazy="joined")


class DeviceToken(Base):
    """A token that a device has used.

    Blocking a device does not revoke its tokens, so administrators need to see them.
    ``last_used_at`` lags behind by at most a minute.
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


class SavedView(Base):
    """Filters of the list under a name. All administrators share the saved views."""

    __tablename__ = f"{PREFIX}saved_views"

    id: Mapped[int] = _id()
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

    id: Mapped[int] = _id()
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

    id: Mapped[int] = _id()
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


class AuditEntry(Base):
    """An action by an administrator, or by a program on an administrator's behalf."""

    __tablename__ = f"{PREFIX}audit_log"
    __table_args__ = (Index("apidevices_audit_log_subject", "subject", "id"),)

    id: Mapped[int] = _id()
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(64))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
