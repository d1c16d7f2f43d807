"""The disk reserve, without a full disk: see also server/test_full_disk.py."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from apidevices import APIDevices, devices, migration
from apidevices.activity import ActivityBuffer
from apidevices.database import Database, DatabaseUnavailable, engine_for, reserve, table_reserve
from apidevices.database.reserve import MARGIN, MIB, FileReserve
from apidevices.devices import bulk
from apidevices.identity import DeviceIdentity
from tests.conftest import NOON, MakeApp, state_of

SIZE = 2 * MIB


class FakeDisk:
    """A disk whose free space the test sets, except for the space of the reserve."""

    def __init__(self, file: Path) -> None:
        self.free = 1024 * MIB
        self.file = file
        self._size = 0

    def free_space(self, _path: object) -> int:
        size = self.file.stat().st_size if self.file.exists() else 0
        self.free += self._size - size
        self._size = size
        return self.free


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDisk:
    disk = FakeDisk(tmp_path / "devices.sqlite3-reserve")
    monkeypatch.setattr(reserve, "free_space", disk.free_space)
    return disk


@pytest.fixture
def db(disk: FakeDisk, tmp_path: Path) -> Database:
    return open_database(tmp_path)


def open_database(folder: Path) -> Database:
    db = Database(engine_for(f"sqlite:///{folder}/devices.sqlite3"), SIZE)
    create_tables(db)
    return db


def create_tables(db: Database) -> None:
    with db.write() as session:
        migration.upgrade_to(session.connection(), f"{migration.DEVICES}@head")


def register(db: Database, identifier: str) -> int:
    identity = DeviceIdentity(identifier, {})
    return devices.report(db, identity, token_id=None, address=None, now=NOON).device_id


def block(db: Database, device_id: int) -> None:
    devices.block(db, device_id, actor="ann", now=NOON)


def test_first_write_of_a_device_creates_the_reserve(db: Database, disk: FakeDisk) -> None:
    assert not disk.file.exists()
    register(db, "phone-1")
    assert disk.file.stat().st_size == SIZE
    assert disk.file.stat().st_blocks * 512 >= SIZE
    assert disk.file.stat().st_mode & 0o777 == 0o600


def test_block_uses_the_reserve_and_devices_do_not(
    db: Database, disk: FakeDisk, caplog: pytest.LogCaptureFixture
) -> None:
    device_id = register(db, "phone-1")
    disk.free = MARGIN - 1
    register(db, "phone-2")  # the reserve is still there
    block(db, device_id)
    assert disk.file.stat().st_size == 0
    for number in range(3):
        with pytest.raises(DatabaseUnavailable, match="disk is full"):
            register(db, f"phone-{number + 3}")
    block(db, device_id)
    levels = [(record.levelno, record.getMessage()[:16]) for record in caplog.records]
    assert levels == [(logging.ERROR, "The disk is full")] * 2  # released, and refused: once each


def test_large_change_of_tags_leaves_the_reserve_to_blocks(
    db: Database, disk: FakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [register(db, name) for name in ("phone-1", "phone-2")]
    disk.free = MARGIN - 1
    devices.tag_all(db, ids, ["Few"], actor="ann", now=NOON)
    monkeypatch.setattr(bulk, "MAX_ENTRIES", 1)
    with pytest.raises(DatabaseUnavailable, match="disk is full"):
        devices.tag_all(db, ids, ["Many"], actor="ann", now=NOON)
    assert devices.block_all(db, ids, reason=None, actor="ann", now=NOON) == ids


def test_reserve_is_rebuilt_when_there_is_space_again(db: Database, disk: FakeDisk) -> None:
    device_id = register(db, "phone-1")
    disk.free = 0
    block(db, device_id)
    disk.free_space(None)
    disk.free = SIZE + MARGIN - 1
    with pytest.raises(DatabaseUnavailable):
        register(db, "phone-2")
    disk.free = SIZE + MARGIN
    register(db, "phone-2")
    assert disk.file.stat().st_size == SIZE


def test_devices_can_write_if_there_has_never_been_space_for_the_reserve(
    db: Database, disk: FakeDisk
) -> None:
    disk.free = SIZE
    register(db, "phone-1")
    assert not disk.file.exists()


def test_processes_share_the_state_of_the_reserve(
    db: Database, disk: FakeDisk, tmp_path: Path
) -> None:
    device_id = register(db, "phone-1")
    disk.free = 0
    block(open_database(tmp_path), device_id)
    with pytest.raises(DatabaseUnavailable):
        register(db, "phone-2")


def test_activity_stays_in_memory_while_the_reserve_is_in_use(
    db: Database, disk: FakeDisk, caplog: pytest.LogCaptureFixture
) -> None:
    device_id = register(db, "phone-1")
    buffer = ActivityBuffer(db, interval=3600, limit=10)
    disk.free = 0
    block(db, device_id)
    buffer.record_denial(device_id, NOON)
    caplog.clear()
    for _ in range(3):
        buffer.flush()
    assert len(caplog.records) == 1  # not one for each attempt: the log may be on the same disk
    assert devices.get(db, device_id).activity.denied_count == 0
    disk.free = 1024 * MIB
    buffer.close()
    assert devices.get(db, device_id).activity.denied_count == 1


def test_reserve_of_a_linked_database_is_on_its_disk(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "devices.sqlite3").write_bytes(b"x")
    link = tmp_path / "devices.sqlite3"
    link.symlink_to(tmp_path / "data" / "devices.sqlite3")
    assert FileReserve(link, SIZE).build()
    assert (tmp_path / "data" / "devices.sqlite3-reserve").stat().st_size == SIZE


def test_reserve_is_not_created_before_the_database(tmp_path: Path) -> None:
    reserve = FileReserve(tmp_path / "devices.sqlite3", SIZE)
    reserve.require()
    assert list(tmp_path.iterdir()) == []


def test_missing_permission_turns_the_reserve_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "devices.sqlite3").write_bytes(b"x")
    (tmp_path / "devices.sqlite3-reserve").mkdir()
    reserve = FileReserve(tmp_path / "devices.sqlite3", SIZE)
    for _ in range(2):
        reserve.require()
    [record] = caplog.records
    assert record.getMessage().startswith("Can't create the disk reserve /")


def test_host_has_no_reserve_by_default(tmp_path: Path) -> None:
    app = Flask("host")
    APIDevices(db=f"sqlite:///{tmp_path}/devices.sqlite3").init_app(app)
    db = state_of(app).db
    create_tables(db)
    register(db, "phone-1")
    assert not (tmp_path / "devices.sqlite3-reserve").exists()
    state_of(app).close()


def test_in_memory_database_needs_no_reserve() -> None:
    db = Database(create_engine("sqlite://"), SIZE)
    create_tables(db)
    register(db, "phone-1")


@pytest.mark.database("sqlite")
def test_readyz_reports_a_full_disk(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(APIDEVICES_DISK_RESERVE="2")
    client, db = app.test_client(), state_of(app).db
    assert client.get("/readyz").text == "ok\n"
    monkeypatch.setattr(reserve, "free_space", lambda _path: 0)
    with db.write():
        pass
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.text.startswith("ok, but the disk is full: ")
    monkeypatch.undo()


@pytest.mark.database("postgresql")
def test_missing_right_to_create_tables_turns_the_reserve_off(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = state_of(make_app()).db.engine
    monkeypatch.setattr(table_reserve, "_CREATE", "CREATE TABLE no_such_schema.devices ()")
    db = Database(engine, SIZE)
    for number in range(2):
        register(db, f"phone-{number}")
    [record] = caplog.records
    assert record.getMessage().startswith("Can't create the disk reserve, so there is none: ")


@pytest.mark.database("postgresql")
def test_devices_are_stored_while_a_reserve_that_a_crash_has_emptied_is_rebuilt(
    make_app: MakeApp,
) -> None:
    engine = state_of(make_app()).db.engine
    processes = [Database(engine, SIZE) for _ in range(2)]
    for db in processes:
        db.reserve.build()
    with engine.begin() as connection:
        connection.exec_driver_sql(table_reserve._TRUNCATE)  # as PostgreSQL does after a crash
    with ThreadPoolExecutor(8) as threads:
        calls = [
            threads.submit(register, processes[number % 2], f"phone-{number}")
            for number in range(16)
        ]
    assert len({call.result() for call in calls}) == 16
    with processes[0].read() as session:
        assert session.scalar(text(f"{table_reserve._SIZE} >= {SIZE}"))


@pytest.mark.database("postgresql")
def test_write_on_postgresql_that_finds_the_disk_full_is_repeated_with_the_reserve(
    make_app: MakeApp,
) -> None:
    db = Database(state_of(make_app()).db.engine, SIZE)
    device_id = register(db, "phone-1")
    with db.read() as session:
        assert session.scalar(text(f"{table_reserve._SIZE} >= {SIZE}"))
    errors = iter([True])

    def check(_device: object) -> None:
        if next(errors, False):
            raise OperationalError("INSERT", {}, psycopg.errors.DiskFull())

    devices.block(db, device_id, actor="ann", now=NOON, check=check)
    assert devices.get(db, device_id).blocked_at == NOON
    with db.read() as session:
        assert session.scalar(text(table_reserve._SIZE)) == 0
    with pytest.raises(DatabaseUnavailable):
        register(db, "phone-2")
    db.reserve.build()
    register(db, "phone-2")
