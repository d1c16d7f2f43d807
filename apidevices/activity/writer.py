"""Write a batch of activity to the database."""

from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    Insert,
    Text,
    Update,
    and_,
    case,
    exists,
    null,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.sql.elements import SQLCoreOperations

from apidevices import clock
from apidevices.activity.batch import Batch, DeviceAndDay
from apidevices.activity.count_writer import DayLimit
from apidevices.activity.merges import merged_into
from apidevices.database import BulkStatement, Database
from apidevices.models import (
    MAX_ADDRESS,
    ApiToken,
    Device,
    DeviceActivity,
    DeviceDenials,
    DeviceToken,
    Id,
    UTCDateTime,
)

Key = TypeVar("Key", int, DeviceAndDay)


class Denials(NamedTuple):
    """Denied requests: their number, first and last time, and the origin of the last."""

    number: int
    first_at: str
    last_at: str
    address: str | None
    token_id: int | None


class ActivityWriter:
    """Writes device activity, the tokens used by devices, and token activity in bulk."""

    def __init__(self, db: Database) -> None:
        self._db = db
        time = UTCDateTime()
        self._now = type_coerce(db.backend.now(), time)
        self._latest = type_coerce(db.backend.now(clock.MAX_AHEAD), time)
        self._devices = BulkStatement(
            db,
            self._update_devices,
            id=Id,
            active_at=time,
            upload_at=time,
        )
        self._denials = BulkStatement(
            db,
            self._update_denials,
            id=Id,
            denied=BigInteger(),
            denied_at=time,
            address=Text(),
            token_id=Id,
        )
        self._day_limit = DayLimit(db)
        self._days = BulkStatement(
            db,
            self._upsert_denials,
            device_id=Id,
            day=Date(),
            denied=BigInteger(),
            first_at=time,
            last_at=time,
            address=Text(),
            token_id=Id,
        )
        self._device_tokens = BulkStatement(
            db,
            self._upsert_device_tokens,
            device_id=Id,
            token_id=Id,
            first_used_at=time,
            last_used_at=time,
        )
        self._tokens = BulkStatement(db, self._update_tokens, id=Id, used_at=time)

    def write(self, connection: Connection, batch: Batch) -> Batch:
        """Write a batch in order of its ids, so that concurrent processes can't deadlock.

        Returns:
            The activity of devices that were merged into others in the meantime, as activity of
            those, for the next write: this one has locked rows with higher ids already.
        """
        ids = sorted(batch.device_ids)
        self._db.lock(connection, DeviceActivity.device_id, ids)
        self._db.lock(connection, ApiToken.id, batch.token_used_at)
        active = sorted(batch.active_at.keys() | batch.upload_at.keys())
        written = self._devices.run(
            connection,
            [(id_, batch.active_at.get(id_), batch.upload_at.get(id_)) for id_ in active],
        )
        has_gone = written < len(active)
        if batch.denied:
            has_gone |= self._write_denials(connection, batch)
        self._device_tokens.run(
            connection,
            [
                (*pair, batch.first_used_at[pair], batch.last_used_at[pair])
                for pair in sorted(batch.last_used_at)
            ],
        )
        self._tokens.run(connection, sorted(batch.token_used_at.items()))
        return batch.moved(merged_into(self._db, connection, ids)) if has_gone else Batch()

    def _write_denials(self, connection: Connection, batch: Batch) -> bool:
        """Write denied requests; return whether some of the devices don't exist any more."""
        totals: dict[int, Denials] = {}
        days: dict[DeviceAndDay, Denials] = {}
        now, latest = self._day_limit.read(connection)
        for key in sorted(batch.denied):
            device_id, day = key
            address, token_id = batch.denied_from[key]
            times = batch.first_denied_at[key], batch.last_denied_at[key]
            denials = Denials(batch.denied[key], *times, _clean(address), token_id)
            _add(totals, device_id, denials)
            if day > latest:  # this host's clock is wrong
                at = self._db.backend.time_text(now)
                day, denials = at[:10], denials._replace(first_at=at, last_at=at)
            _add(days, (device_id, day), denials)
        written = self._denials.run(
            connection,
            [
                (id_, total.number, total.last_at, total.address, total.token_id)
                for id_, total in totals.items()
            ],
        )
        self._days.run(connection, [(*key, *denials) for key, denials in sorted(days.items())])
        return written < len(totals)

    def _upsert_denials(self, new: Any) -> Insert:
        row = DeviceDenials
        values = (new.denied, new.first_at, new.last_at, new.address, new.token_id)
        columns = (row.denied, row.first_at, row.last_at, row.address, row.token_id)
        existing = select(new.device_id, new.day, *values).where(
            exists().where(Device.id == new.device_id)
        )
        insert = self._db.insert(row).from_select([row.device_id, row.day, *columns], existing)
        added = insert.excluded
        is_earlier, is_later = added.first_at < row.first_at, added.last_at >= row.last_at
        return insert.on_conflict_do_update(
            index_elements=[row.device_id, row.day],
            set_={
                "denied": row.denied + added.denied,
                "first_at": case((is_earlier, added.first_at), else_=row.first_at),
                "last_at": case((is_later, added.last_at), else_=row.last_at),
                "address": case((is_later, added.address), else_=row.address),
                "token_id": case((is_later, added.token_id), else_=row.token_id),
            },
        )

    def _upsert_device_tokens(self, new: Any) -> Insert:
        # A device or token that was deleted by hand must not make the whole batch fail.
        existing = select(
            new.device_id,
            new.token_id,
            self._sane(new.first_used_at),
            self._sane(new.last_used_at),
        ).where(
            exists().where(Device.id == new.device_id), exists().where(ApiToken.id == new.token_id)
        )
        row = DeviceToken
        columns = [row.device_id, row.token_id, row.first_used_at, row.last_used_at]
        insert = self._db.insert(row).from_select(columns, existing)
        used_at = insert.excluded.last_used_at
        return insert.on_conflict_do_update(
            index_elements=[row.device_id, row.token_id],
            set_={"last_used_at": used_at},
            where=or_(row.last_used_at < used_at, row.last_used_at > self._latest),
        )

    def _update_devices(self, new: Any) -> Update:
        row = DeviceActivity
        active_at = self._later(row.last_active_at, new.active_at)
        return (
            update(row)
            .where(row.device_id == new.id)
            .values(
                last_active_at=active_at,
                last_upload_at=self._later(row.last_upload_at, new.upload_at),
                last_activity_at=case((row.blocked, row.last_activity_at), else_=active_at),
                archived_at=null(),
            )
        )

    def _update_denials(self, new: Any) -> Update:
        row = DeviceActivity
        is_later = self._is_later(row.last_denied_at, new.denied_at)
        return (
            update(row)
            .where(row.device_id == new.id)
            .values(
                denied_count=row.denied_count + new.denied,
                last_denied_at=self._later(row.last_denied_at, new.denied_at),
                last_denied_address=case((is_later, new.address), else_=row.last_denied_address),
                last_denied_token_id=case((is_later, new.token_id), else_=row.last_denied_token_id),
                # An administrator wants to see a device that tries again.
                archived_at=null(),
            )
        )

    def _update_tokens(self, new: Any) -> Update:
        return (
            update(ApiToken)
            .where(ApiToken.id == new.id)
            .values(last_used_at=self._later(ApiToken.last_used_at, new.used_at))
        )

    def _later(self, known: SQLCoreOperations[Any], new: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the later of two nullable times, or the new one if the known one is wrong."""
        return case((self._is_later(known, new), self._sane(new)), else_=known)

    def _is_later(
        self, known: SQLCoreOperations[Any], new: ColumnElement[Any]
    ) -> ColumnElement[bool]:
        is_wrong = and_(known > self._latest, new.is_not(None))
        return or_(known.is_(None), self._sane(new) > known, is_wrong)

    def _sane(self, new: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return a time, or the database's time if this host's clock is too far ahead of it."""
        return case((new > self._latest, self._now), else_=new)


def _add(groups: dict[Key, Denials], key: Key, later: Denials) -> None:
    """Add denied requests to those of the same key that are earlier."""
    known = groups.get(key)
    if known is not None:
        later = later._replace(number=known.number + later.number, first_at=known.first_at)
    groups[key] = later


def _clean(address: str) -> str | None:
    """Return an address as it is stored. A proxy may send anything, which must not fail a batch."""
    return address[:MAX_ADDRESS] if address and address.isprintable() else None
