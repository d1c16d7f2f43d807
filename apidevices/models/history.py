"""API Devices tokens, and what devices have done: their history and the tokens they used."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, ForeignKey, Index, Integer, LargeBinary, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from apidevices.models.base import MAX_ADDRESS, PREFIX, Base, Id, UTCDateTime, primary_key
from apidevices.text import MAX_LENGTH


class ApiToken(Base):
    """An API Devices token. Only its digest is stored, never the token itself."""

    __tablename__ = f"{PREFIX}api_tokens"

    id: Mapped[int] = primary_key()
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
    """A device's registration, a merge, or a change of its details, name, tags, note or block.

    ``changes`` maps each changed field to ``[old, new]``; either is null if there was no value.
    ``actor`` is that of the audit log, for what administrators do. ``details`` has the reason and
    the end of a block, the ``tags`` that were added or removed, the device that was merged into
    this one, or the alias that was removed. Entries of denied requests are not stored; their
    ``details`` have the ``count`` and the ``first_at``.
    """

    __tablename__ = f"{PREFIX}device_history"
    __table_args__ = (Index("apidevices_device_history_device", "device_id", "id"),)

    id: Mapped[int] = primary_key()
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

    @property
    def block_details(self) -> dict[str, Any] | None:
        """The reason and the end of a block; None for entries of another kind."""
        return self.details if self.kind == "blocked" else None

    @property
    def merged(self) -> dict[str, Any] | None:
        """The device that was merged into this one; None for entries of another kind."""
        return self.details if self.kind == "merged" else None

    @property
    def alias(self) -> str | None:
        """The alias that was removed; None for entries of another kind."""
        return (self.details or {}).get("identifier") if self.kind == "alias_removed" else None

    @property
    def denied_details(self) -> dict[str, Any] | None:
        """The number and the first time of denied requests; None for entries of another kind."""
        return self.details if self.kind == "denied" else None

    @property
    def tags(self) -> list[str]:
        """The tags that were added or removed."""
        return list((self.details or {}).get("tags", ()))


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
