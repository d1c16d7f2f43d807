"""Daily counters: the requests of each device and of all devices, and denied requests.

All days are UTC days.
"""

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, ForeignKey, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from apidevices.models.base import MAX_ADDRESS, PREFIX, Base, Id, UTCDateTime


class DeviceDay(Base):
    """How many requests of a device were allowed on a day, and how many of them were uploads.

    There may be 90 rows per device, so each column counts. ``WITHOUT ROWID`` halves them on SQLite.
    """

    __tablename__ = f"{PREFIX}device_days"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - the name is SQLAlchemy's

    device_id: Mapped[int] = mapped_column(
        Id,
        ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    requests: Mapped[int] = mapped_column(Integer)
    uploads: Mapped[int] = mapped_column(Integer)


class DeviceDenials(Base):
    """The denied requests of a device on a day: their number, and where the last came from."""

    __tablename__ = f"{PREFIX}device_denials"

    device_id: Mapped[int] = mapped_column(
        Id,
        ForeignKey(f"{PREFIX}devices.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    denied: Mapped[int] = mapped_column(BigInteger)
    first_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_at: Mapped[datetime] = mapped_column(UTCDateTime)
    address: Mapped[str | None] = mapped_column(String(MAX_ADDRESS))
    token_id: Mapped[int | None] = mapped_column(Id)


class FleetDay(Base):
    """What all devices did on a day, including devices that have been deleted since.

    ``requests`` and ``uploads`` are those of ``DeviceDay``, written in the same transactions.
    ``denied`` follows up to a minute after ``DeviceDenials``. ``registered`` is the number of
    devices that were first seen on the day, counted again with each write.
    """

    __tablename__ = f"{PREFIX}fleet_days"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    uploads: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    denied: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    registered: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
