"""What triggers of the database copy from devices, to filter and sort the list by."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from apidevices.models.base import PREFIX, Base, ByCodePoint, Detail, Id, UTCDateTime, primary_key


class Details(Base):
    """A combination of details that devices report, stored once for all of them.

    Triggers of the database insert it (migration 0012). ``key`` identifies the combination.
    """

    __tablename__ = f"{PREFIX}details"
    __table_args__ = (
        Index("apidevices_details_application", "application", "application_version"),
        *(Index(f"apidevices_details_{field}", field) for field in ("os", "manufacturer", "model")),
    )

    id: Mapped[int] = primary_key()
    key: Mapped[str] = mapped_column(Text, unique=True)
    application: Mapped[str | None] = mapped_column(Detail)
    application_version: Mapped[str | None] = mapped_column(Detail)
    os: Mapped[str | None] = mapped_column(Detail)
    os_version: Mapped[str | None] = mapped_column(Detail)
    manufacturer: Mapped[str | None] = mapped_column(Detail)
    model: Mapped[str | None] = mapped_column(Detail)


class DeviceKeys(Base):
    """What the list is filtered and sorted by, one narrow row per device.

    Triggers of the database copy it from the device (migration 0012) and its activity (migration
    0020). ``sort_key`` is the folded name, or identifier, see listing/search.py.
    """

    __tablename__ = f"{PREFIX}device_keys"
    __table_args__ = (
        Index("apidevices_device_keys_details", "details_id", "archived", "device_id"),
        Index("apidevices_device_keys_name", "archived", "sort_key", "device_id", "details_id"),
        Index(
            "apidevices_device_keys_first_seen",
            "archived",
            "first_seen_at",
            "device_id",
            "details_id",
        ),
    )

    device_id: Mapped[int] = mapped_column(
        Id, ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE"), primary_key=True
    )
    details_id: Mapped[int] = mapped_column(Id)
    sort_key: Mapped[str] = mapped_column(ByCodePoint)
    first_seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Whether DeviceActivity.archived_at is set.
    archived: Mapped[bool] = mapped_column(default=False, server_default=false())
