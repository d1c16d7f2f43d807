"""Marks: what devices seem to be, for administrators to look at."""

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from apidevices.models.base import PREFIX, Base, Id, UTCDateTime, primary_key

MarkKind = Literal["shared", "twin", "blocked_again"]
"""What a device may be: several devices, the same as an older one, or one that is blocked."""

_OPEN = text("dismissed_at IS NULL")


class DeviceMark(Base):
    """What a device seems to be, with the evidence. Administrators can dismiss it.

    ``shared``: several devices that send the same identifier. ``count`` is how often the device has
    swung back, ``evidence`` has the ``sets`` of details: see ``devices.shared``.

    ``twin``: the device ``other_id`` after its application has been reinstalled.

    ``blocked_again``: the device ``other_id``, which was blocked shortly before.
    """

    __tablename__ = f"{PREFIX}device_marks"
    __table_args__ = (
        Index(
            "apidevices_device_marks_device",
            "device_id",
            "kind",
            "other_id",
            unique=True,
        ),
        Index("apidevices_device_marks_other", "other_id"),
        Index(
            "apidevices_device_marks_open",
            "kind",
            "device_id",
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )

    id: Mapped[int] = primary_key()
    kind: Mapped[str] = mapped_column(String(16))
    device_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE")
    )
    # Not a foreign key: a registration would wait for the deletion of the other device, and fail.
    other_id: Mapped[int | None] = mapped_column(Id)
    evidence: Mapped[dict[str, Any]] = mapped_column(JSON)
    first_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_at: Mapped[datetime] = mapped_column(UTCDateTime)
    count: Mapped[int] = mapped_column(BigInteger)
    dismissed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    dismissed_by: Mapped[str | None] = mapped_column(Text)
