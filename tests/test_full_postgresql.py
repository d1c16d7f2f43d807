"""A full disk under PostgreSQL, with the write-ahead log on it. Needs the privileges of root."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from apidevices import devices
from apidevices.database import Database, DatabaseUnavailable, engine_for, table_reserve
from apidevices.database.reserve import MIB
from apidevices.identity import DeviceIdentity
from apidevices.models import Base
from harness.postgres import Postgres
from harness.small_disk import SmallDisk, mounted
from tests.conftest import NOON

NUMBER = 100


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="apidevices-disk-")))
        folder.chmod(0o755)  # PostgreSQL runs as another user
        try:
            disk = stack.enter_context(mounted(folder / "data", 160))
        except OSError as error:
            pytest.skip(f"can't mount a disk: {error}")
        yield disk


def register(db: Database, identifier: str) -> int:
    identity = DeviceIdentity(identifier, {"model": "x" * 200})
    return devices.report(db, identity, token_id=None, address=None, now=NOON).device_id


def test_devices_can_be_blocked_on_a_full_disk(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_reserve, "_BUILD_INTERVAL", 0)
    with Postgres("full_page_writes=off", "min_wal_size=32MB", data=disk.folder) as server:
        db = Database(engine_for(server.url()), 40 * MIB)
        with db.write() as session:
            Base.metadata.create_all(session.connection())
        ids = [register(db, f"phone-{number}") for number in range(NUMBER)]
        disk.fill()
        with pytest.raises(SQLAlchemyError, match="No space left on device"):
            [register(db, f"late-{number}") for number in range(1000)]
        for device_id in ids:
            devices.block(db, device_id, actor="ann", now=NOON)
        assert all(devices.get(db, device_id).blocked_at for device_id in ids)
        with pytest.raises(DatabaseUnavailable, match="disk is full"):
            register(db, "phone-x")
        disk.clear()
        register(db, "phone-x")
        [(size,)] = server.execute("SELECT pg_relation_size('apidevices_disk_reserve')")
        assert size >= 40 * MIB
        db.engine.dispose()
