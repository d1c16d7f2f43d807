"""Devices, with their tags and their activity."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Text,
    and_,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, aliased, column_property, mapped_column, relationship
from sqlalchemy.sql.functions import GenericFunction

from apidevices import clock
from apidevices.models.base import (
    MAX_ADDRESS,
    PREFIX,
    Base,
    Detail,
    Id,
    UTCDateTime,
    primary_key,
)
from apidevices.models.marks import DeviceMark
from apidevices.text import MAX_LENGTH


class DeviceTag(Base):
    """A tag of a device. ``key`` is the folded tag, so that tags don't differ in case only."""

    __tablename__ = f"{PREFIX}device_tags"
    __table_args__ = (Index("apidevices_device_tags_key", "key", "device_id"),)

    device_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    tag: Mapped[str] = mapped_column(Text)


class DeviceAlias(Base):
    """An identifier of a device that was merged into another one, and now belongs to that one.

    No identifier is both an alias and that of a device. ``former_id`` is the id of the merged
    device.
    """

    __tablename__ = f"{PREFIX}device_aliases"
    __table_args__ = (
        Index("apidevices_device_aliases_device", "device_id"),
        Index("apidevices_device_aliases_former", "former_id"),
    )

    identifier: Mapped[str] = mapped_column(String(MAX_LENGTH), primary_key=True)
    device_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE")
    )
    former_id: Mapped[int] = mapped_column(Id)
    merged_at: Mapped[datetime] = mapped_column(UTCDateTime)
    merged_by: Mapped[str] = mapped_column(Text)


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

    id: Mapped[int] = primary_key()
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
    # The denied_count of the activity when the latest block began; None if that is unknown.
    denied_before_block: Mapped[int | None] = mapped_column(BigInteger)

    activity: Mapped["DeviceActivity"] = relationship(lazy="joined", innerjoin=True)
    # Tags contain no commas. Loading them in the same query takes half the time of a relationship.
    joined_tags: Mapped[str | None] = column_property(
        select(_Joined(DeviceTag.tag)).where(DeviceTag.device_id == id).scalar_subquery(),
        expire_on_flush=False,
    )

    # The kinds of its marks, without those that were dismissed.
    joined_marks: Mapped[str | None] = column_property(
        select(_Joined(DeviceMark.kind))
        .where(DeviceMark.device_id == id, DeviceMark.dismissed_at.is_(None))
        .scalar_subquery(),
        expire_on_flush=False,
    )

    # Neither do identifiers.
    joined_aliases: Mapped[str | None] = column_property(
        select(_Joined(DeviceAlias.identifier))
        .where(DeviceAlias.device_id == id)
        .scalar_subquery(),
        expire_on_flush=False,
    )

    @property
    def marks(self) -> frozenset[str]:
        """The kinds of its marks that were not dismissed."""
        return frozenset(self.joined_marks.split(",")) if self.joined_marks else frozenset()

    @property
    def shared(self) -> bool:
        """Whether the device may be several devices that send the same identifier."""
        return "shared" in self.marks

    @property
    def aliases(self) -> list[str]:
        """The identifiers of devices that were merged into this one, in order."""
        return sorted(self.joined_aliases.split(",")) if self.joined_aliases else []

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

    @property
    def denied_since_block(self) -> int | None:
        """How many requests have been denied since the latest block began. None if unknown."""
        if self.denied_before_block is None:
            return None
        return self.activity.denied_count - self.denied_before_block

    def is_blocked_at(self, moment: datetime) -> bool:
        """Return whether the device is blocked at a time."""
        if self.blocked_at is None:
            return False
        return self.blocked_until is None or self.blocked_until > moment

    @classmethod
    def identified_by(cls, identifier: str | ColumnElement[str]) -> ColumnElement[bool]:
        """Return the condition that an identifier is that of the device, or one of its aliases."""
        alias = aliased(DeviceAlias)
        own = aliased(cls)
        by_alias = (
            select(own.identifier)
            .join(alias, alias.device_id == own.id)
            .where(alias.identifier == identifier)
            .correlate(None)
            .scalar_subquery()
        )
        return cls.identifier == func.coalesce(by_alias, identifier)

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
    # When the device was archived; activity writes remove it. Triggers copy whether it is set to
    # DeviceKeys.archived.
    archived_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


# The activity indexes: partial indexes that are sorted like the list, one per status, and one for
# the archived devices of both. Each row is in exactly one of them, so that an activity write moves
# a single index entry. With the search key in the index, a search reads the list in order without
# touching a table. SQLite needs archived_at in the index for that, too.
for _name, _on_sqlite, _on_postgresql in (
    # Same form as in queries: SQLite does not recognize an equivalent condition.
    ("active", "blocked = 0 AND archived_at IS NULL", "NOT blocked AND archived_at IS NULL"),
    ("blocked", "blocked = 1 AND archived_at IS NULL", "blocked AND archived_at IS NULL"),
    ("archived", "archived_at IS NOT NULL", "archived_at IS NOT NULL"),
):
    Index(
        f"apidevices_device_activity_{_name}",
        *([DeviceActivity.__table__.c.blocked] if _name == "archived" else []),
        DeviceActivity.__table__.c.last_activity_at.desc(),
        DeviceActivity.__table__.c.device_id.desc(),
        DeviceActivity.__table__.c.search_key,
        DeviceActivity.__table__.c.details_id,
        DeviceActivity.__table__.c.last_upload_at,
        DeviceActivity.__table__.c.archived_at,
        sqlite_where=text(_on_sqlite),
        postgresql_where=text(_on_postgresql),
    )

# Finds the devices that were denied at an address: see devices/again.py.
Index(
    "apidevices_device_activity_denied_address",
    DeviceActivity.__table__.c.last_denied_address,
    DeviceActivity.__table__.c.last_activity_at,
    sqlite_where=text("blocked = 1"),
    postgresql_where=text("blocked"),
)
