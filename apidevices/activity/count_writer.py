"""Write daily counts to the database."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Date,
    Insert,
    exists,
    func,
    select,
    type_coerce,
    update,
)

from apidevices import clock
from apidevices.activity.merges import merged_into
from apidevices.database import BulkStatement, Database
from apidevices.models import (
    Device,
    DeviceActivity,
    DeviceDay,
    DeviceKeys,
    FleetDay,
    Id,
    UTCDateTime,
)

Row = tuple[int, str, int, int]
"""Device id, day, number of allowed requests, and of uploads among them."""

_SLOWEST = timedelta(minutes=5)
"""A registration is committed at most this long after its time, give or take wrong clocks."""


class CountWriter:
    """Writes the counts of devices, and those of all devices in the same transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._days = DayLimit(db)
        self._counted_at: datetime | None = None  # when registrations were counted
        self._devices = BulkStatement(
            db,
            self._upsert_devices,
            device_id=Id,
            day=Date(),
            requests=BigInteger(),
            uploads=BigInteger(),
        )
        self._fleet = BulkStatement(
            db,
            self._upsert_fleet,
            day=Date(),
            requests=BigInteger(),
            uploads=BigInteger(),
            denied=BigInteger(),
        )

    def write(
        self,
        connection: Connection,
        rows: Collection[Row],
        denied: Mapping[str, int],
        registrations: bool,
    ) -> list[Row]:
        """Add counts to those in the database.

        All processes share the rows of ``FleetDay``. They are locked last, so that others wait only
        for the commit.

        Args:
            connection: A connection in a transaction.
            rows: The counts of devices.
            denied: Day -> number of denied requests of all devices.
            registrations: Whether to count the devices that have been registered, too.

        Returns:
            The counts of devices that were merged into others in the meantime, as counts of those,
            for the next write: this one has locked rows with higher ids already.
        """
        now, latest = self._days.read(connection)
        today = f"{now:%Y-%m-%d}"
        devices: dict[tuple[int, str], tuple[int, int]] = {}
        for device_id, counted_day, requests, uploads in rows:
            key = device_id, counted_day if counted_day <= latest else today
            before = devices.get(key, (0, 0))
            devices[key] = (before[0] + requests, before[1] + uploads)
        ids = {device_id for device_id, _ in devices}
        self._db.lock(connection, DeviceActivity.device_id, ids)
        written = self._devices.run(connection, [(*key, *devices[key]) for key in sorted(devices)])
        # Not before the rows are locked: until then, a merge may be committed.
        into = merged_into(self._db, connection, ids) if written < len(devices) else {}
        fleet: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for (device_id, day), (requests, uploads) in devices.items():
            if device_id not in into:
                fleet[day][0] += requests
                fleet[day][1] += uploads
        for day, number in denied.items():
            fleet[day if day <= latest else today][2] += number
        self._fleet.run(connection, [(day, *fleet[day]) for day in sorted(fleet)])
        if registrations:
            self._count_registrations(connection, now)
        return [(into[row[0]], *row[1:]) for row in rows if row[0] in into]

    def _upsert_devices(self, new: Any) -> Insert:
        # A device may have been deleted since its requests.
        existing = select(new.device_id, new.day, new.requests, new.uploads).where(
            exists().where(Device.id == new.device_id)
        )
        row = DeviceDay
        columns = [row.device_id, row.day, row.requests, row.uploads]
        insert = self._db.insert(row).from_select(columns, existing)
        return insert.on_conflict_do_update(
            index_elements=[row.device_id, row.day],
            set_={
                "requests": row.requests + insert.excluded.requests,
                "uploads": row.uploads + insert.excluded.uploads,
            },
        )

    def _upsert_fleet(self, new: Any) -> Insert:
        row = FleetDay
        # SQLite needs a WHERE to tell ON CONFLICT from a join.
        counted = select(new.day, new.requests, new.uploads, new.denied).where(new.day.is_not(None))
        columns = [row.day, row.requests, row.uploads, row.denied]
        insert = self._db.insert(row).from_select(columns, counted)
        return insert.on_conflict_do_update(
            index_elements=[row.day],
            set_={
                "requests": row.requests + insert.excluded.requests,
                "uploads": row.uploads + insert.excluded.uploads,
                "denied": row.denied + insert.excluded.denied,
            },
        )

    def _count_registrations(self, connection: Connection, now: datetime) -> None:
        """Count the devices that were registered today, and on the day before if it is due.

        Adding them up in memory would lose some when a process is killed, and adding each one in
        its own transaction would make all registrations wait for each other. Counting them takes
        2 ms for 25,000 devices. The row of the day is locked, so that the last process to count
        sees all that the others have counted.
        """
        yesterday = now - timedelta(days=1)
        since = max(self._counted_at - _SLOWEST, yesterday) if self._counted_at else yesterday
        self._counted_at = now
        for day in sorted({since.date(), now.date()}):
            start = datetime.combine(day, time(), UTC)
            first_seen = DeviceKeys.first_seen_at
            registered = select(func.count()).where(
                first_seen >= start, first_seen < start + timedelta(days=1)
            )
            connection.execute(
                update(FleetDay)
                .where(FleetDay.day == day)
                .values(registered=registered.scalar_subquery())
            )


class DayLimit:
    """The latest day that may be written: that of the database's clock, not of a wrong one."""

    def __init__(self, db: Database) -> None:
        moments = (db.backend.now(), db.backend.now(clock.MAX_SKEW))
        self._moments = select(*(type_coerce(moment, UTCDateTime()) for moment in moments))

    def read(self, connection: Connection) -> tuple[datetime, str]:
        """Return the time of the database's clock, and the latest day as text."""
        moments = connection.execute(self._moments).one()
        return moments[0], f"{moments[1]:%Y-%m-%d}"
