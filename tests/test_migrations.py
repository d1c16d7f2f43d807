"""Migrations upgrade and downgrade tables with data, and their schema equals the models."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    NullPool,
    Table,
    create_engine,
    delete,
    func,
    inspect,
    select,
)

from apidevices import clock, devices, limits, listing, migration, operations, tokens
from apidevices.database.sqlite import sqlite_module
from apidevices.identity import DeviceIdentity
from apidevices.listing import Filters
from apidevices.models import (
    PREFIX,
    REPORTS,
    Base,
    DeviceActivity,
    DeviceHistory,
    DeviceMark,
    DeviceTag,
    Preferences,
    SavedView,
)
from apidevices.snapshots import Snapshot
from apidevices.standalone import accounts, uploads
from apidevices.standalone.accounts import addresses
from apidevices.standalone.migrations import upgrade
from apidevices.standalone.settings import ServerSettings
from harness.databases import Databases
from harness.real_server import SQLITE_FILE, wait_until
from tests.conftest import MakeApp, only_settings, state_of

DATA = Path(__file__).parent / "data"


def migrate(app: Flask, *arguments: str) -> None:
    """Run ``flask db …``."""
    result = app.test_cli_runner().invoke(args=["db", *arguments])
    assert result.exit_code == 0, result.output


def tables(connection: Connection) -> dict[str, Table]:
    """Return all tables except Alembic's version tables and SQLite's internal search tables."""
    metadata = MetaData()
    metadata.reflect(connection)
    return {
        name: table
        for name, table in metadata.tables.items()
        if "alembic" not in name and "device_search" not in name
    }


def row_counts(app: Flask) -> dict[str, int]:
    """Return how many rows each API Devices table has."""
    with state_of(app).db.connect() as connection:
        return {
            name: connection.scalar(select(func.count()).select_from(table)) or 0
            for name, table in tables(connection).items()
            if name.startswith(PREFIX)
        }


def fill(app: Flask) -> None:
    """Insert at least one row into each table, through the public functions."""
    db, now = state_of(app).db, clock.now()
    token, _ = tokens.issue(db, "test", ["devices:read"], actor="ann", now=now)
    for version in ("18", "26"):
        identity = DeviceIdentity("phone-1", {"os": "iOS", "os_version": version})
        device_id = devices.report(
            db, identity, token_id=token.id, address="192.0.2.1", now=now
        ).device_id
    identity = DeviceIdentity("phone-0", {})
    other = devices.report(db, identity, token_id=token.id, address="192.0.2.1", now=now)
    devices.merge(db, other.device_id, device_id, moves=(), actor="ann", now=now)
    devices.archive(db, device_id, actor="ann", now=now)
    rename = partial(devices.rename, db, device_id, "Front desk")
    operations.record(db, "rename", rename, actor="ann", now=now)
    devices.block(db, device_id, reason="lost", actor="ann", now=now)
    state_of(app).activity.record_request(device_id, token.id, now, upload=True)
    state_of(app).activity.record_denial(device_id, now, token.id, "192.0.2.1")
    state_of(app).activity.flush(counts=True)
    with db.write() as session:
        session.add_all(
            [
                DeviceTag(device_id=device_id, key="team a", tag="Team A"),
                DeviceMark(
                    kind="twin",
                    device_id=device_id,
                    evidence={},
                    first_at=now,
                    last_at=now,
                    count=1,
                ),
                SavedView(name="Blocked", query="status=blocked", created_by="ann", created_at=now),
                Preferences(account="ann", choices={"columns": ["os"]}),
            ]
        )
        limits.take(db, session, limits.Limit("test", 2, limits.HOUR), "token:1", now)
    Snapshot(db, "test", lambda _session, _now: {"devices": 1}).latest(now, patience=5)
    uploads.store(db, b"[1]", device_id=device_id, token_id=token.id, now=now)
    with app.app_context():
        user = accounts.create(db, "ann@example.com", "correct horse", actor="ann", now=now)
    with db.write() as session:
        addresses.remember(db, session, user.id, "192.0.2.1", now)


@pytest.fixture
def bare_app(make_bare_app: MakeApp) -> Flask:
    return make_bare_app()


def test_migrations_create_all_tables(bare_app: Flask) -> None:
    migrate(bare_app, "upgrade")
    assert set(row_counts(bare_app)) == set(Base.metadata.tables)


def test_second_upgrade_changes_nothing(app: Flask) -> None:
    fill(app)
    before = row_counts(app)
    migrate(app, "upgrade")
    with app.app_context():
        upgrade()
    assert row_counts(app) == before


@pytest.mark.parametrize("older", ["0001", "devices@base", "0002", "standalone@base", "base"])
def test_downgrade_and_upgrade_keep_rows_of_remaining_tables(app: Flask, older: str) -> None:
    fill(app)
    db = state_of(app).db
    devices.unblock(db, 1, actor="ann", now=clock.now())  # aliases would become blocked devices
    with db.write() as session:  # older versions don't know blocks in the history
        session.execute(delete(DeviceHistory).where(DeviceHistory.kind.not_in(REPORTS)))
    before = row_counts(app)
    assert all(before.values())
    migrate(app, "downgrade", "--yes", older)
    kept = row_counts(app)
    assert all(before[name] == count for name, count in kept.items())
    migrate(app, "upgrade")
    assert row_counts(app).keys() == before.keys()
    assert all(row_counts(app)[name] == count for name, count in kept.items())


def test_devices_are_readable_after_a_downgrade_and_upgrade(app: Flask) -> None:
    fill(app)
    migrate(app, "downgrade", "--yes", "0001")
    migrate(app, "upgrade")
    device = devices.by_identifier(state_of(app).db, "phone-1")
    assert (device.name, device.os_version, device.block_reason) == ("Front desk", "26", "lost")
    assert len(devices.history(state_of(app).db, device.id)) == 3


def test_downgrade_deletes_history_that_older_versions_cannot_read(app: Flask) -> None:
    fill(app)
    db = state_of(app).db
    kinds = [entry.kind for entry in devices.history(db, 1)]
    assert kinds[:5] == ["denied", "blocked", "renamed", "archived", "merged"]
    migrate(app, "downgrade", "--yes", "0013")
    migrate(app, "upgrade")
    kinds = [entry.kind for entry in devices.history(db, 1)]
    assert kinds == ["blocked", "registered", "changed", "registered"]


def test_downgrade_keeps_aliases_of_blocked_devices_blocked(app: Flask) -> None:
    fill(app)
    db = state_of(app).db
    migrate(app, "downgrade", "--yes", "0018")
    migrate(app, "upgrade")
    device, former = (devices.by_identifier(db, name) for name in ("phone-1", "phone-0"))
    assert (former.id, former.aliases, device.aliases) == (2, [], [])
    assert (former.status, former.block_reason, former.blocked_at) == (
        "blocked",
        "lost",
        device.blocked_at,
    )
    assert former.activity.blocked
    assert former.id in {each.id for each in listing.page(db, Filters(name="PHONE-0")).devices}


def test_downgrade_ends_blocks_whose_end_has_passed(app: Flask) -> None:
    db, now = state_of(app).db, clock.now()
    for days in (-1, 1):
        identity = DeviceIdentity(f"phone{days:+}", {})
        registered = devices.report(db, identity, token_id=None, address=None, now=now)
        blocked_at, until = now - timedelta(days=2), now + timedelta(days=days)
        devices.block(db, registered.device_id, until=until, actor="ann", now=blocked_at)
    migrate(app, "downgrade", "--yes", "0010")
    migrate(app, "upgrade")
    ended, blocked = (devices.by_identifier(db, name) for name in ("phone-1", "phone+1"))
    assert (ended.blocked_at, ended.blocked_by, ended.activity.blocked) == (None, None, False)
    assert (blocked.blocked_until, blocked.activity.blocked) == (None, True)


@pytest.mark.database("postgresql")
def test_upgrade_gives_way_to_writes_that_lock_tables_in_another_order(app: Flask) -> None:
    db = state_of(app).db
    migrate(app, "downgrade", "--yes", "0010")
    with ThreadPoolExecutor(1) as pool:
        with db.engine.begin() as writer:
            writer.exec_driver_sql("LOCK TABLE apidevices_device_activity IN ROW EXCLUSIVE MODE")
            upgraded = pool.submit(migrate, app, "upgrade")
            wait_until(lambda: is_waiting(db.engine))
            assert writer.exec_driver_sql("SELECT count(*) FROM apidevices_devices").scalar() == 0
        upgraded.result()
    assert set(row_counts(app)) == set(Base.metadata.tables)


def is_waiting(engine: Engine) -> bool:
    """Return whether any connection to a PostgreSQL server waits for a lock of a table."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND NOT granted"
    with engine.connect() as connection:
        return bool(connection.exec_driver_sql(waiting).scalar())


def test_unblocking_by_an_older_version_removes_the_end_of_the_block(app: Flask) -> None:
    db, now = state_of(app).db, clock.now()
    identity = DeviceIdentity("phone-1", {})
    device_id = devices.report(db, identity, token_id=None, address=None, now=now).device_id
    devices.block(db, device_id, until=now + timedelta(days=1), actor="ann", now=now)
    with db.write() as session:
        session.connection().exec_driver_sql(
            "UPDATE apidevices_devices"
            " SET blocked_at = NULL, block_reason = NULL, blocked_by = NULL"
        )
    assert devices.get(db, device_id).blocked_until is None


def test_upgrade_copies_search_keys_that_are_short_enough(app: Flask) -> None:
    db, now = state_of(app).db, clock.now()
    identifiers = ["Ümlaut", "x" * 255, "é" * 127 + "y" * 127]
    for identifier in identifiers:
        devices.report(db, DeviceIdentity(identifier, {}), token_id=None, address=None, now=now)
    long = devices.by_identifier(db, identifiers[1])
    devices.rename(db, long.id, "A name that makes the key too long", actor="ann", now=now)
    migrate(app, "downgrade", "--yes", "0003")
    migrate(app, "upgrade")
    keys = select(DeviceActivity.search_key).order_by(DeviceActivity.device_id)
    with db.read() as session:
        assert session.scalars(keys).all() == ["ümlaut", None, identifiers[2]]


def test_upgrade_stores_what_the_list_is_filtered_and_sorted_by(app: Flask) -> None:
    db, now = state_of(app).db, clock.now()
    for number, os in enumerate(("iOS", "Android", "iOS")):
        identity = DeviceIdentity(f"Phone-{number}", {"os": os, "model": "Ä" * 255})
        devices.report(db, identity, token_id=None, address=None, now=now)
    devices.rename(db, 3, "Door", actor="ann", now=now)
    migrate(app, "downgrade", "--yes", "0011")
    migrate(app, "upgrade")
    page = listing.page(db, Filters(os="ios", model="ä" * 255), sort="-name")
    assert [device.id for device in page.devices] == [1, 3]
    assert [device.id for device in listing.page(db, Filters(os="ios")).devices] == [3, 1]


def test_downgrade_to_base_keeps_tables_of_the_host(app: Flask) -> None:
    db = state_of(app).db
    with db.write() as session:
        connection = session.connection()
        connection.exec_driver_sql("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('host revision')")
    fill(app)
    migrate(app, "downgrade", "--yes", "base")
    with db.connect() as connection:
        assert set(tables(connection)) == {"orders"}
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    assert version == "host revision"
    migrate(app, "upgrade")
    assert set(row_counts(app)) == set(Base.metadata.tables)


@pytest.mark.database("sqlite")
def test_database_created_before_the_migration_branches_keeps_its_data(
    make_bare_app: MakeApp, instance: Path
) -> None:
    instance.mkdir()
    with closing(sqlite_module().connect(instance / SQLITE_FILE)) as connection:
        connection.executescript((DATA / "before_branches.sql").read_text())
    app = make_bare_app()
    before = row_counts(app)
    with app.app_context():
        upgrade()
        assert accounts.exists(state_of(app).db)
    after = row_counts(app)
    assert {name: after[name] for name in before} == before
    assert set(after) == set(Base.metadata.tables)
    device = devices.by_identifier(state_of(app).db, "phone-1")
    assert (device.name, device.block_reason) == ("Front desk", "lost")
    assert len(uploads.recent(state_of(app).db, device.id)) == 1
    assert app.test_client().get("/readyz").status_code == 200


# --- comparison with the models ----------------------------------------------------------------


def schema(engine: Engine) -> dict[str, Any]:
    """Return everything that the database reports about the tables of the models."""
    inspector = inspect(engine)
    indexes = {
        "sqlite": "SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name",
        "postgresql": "SELECT tablename, indexdef FROM pg_indexes ORDER BY indexname",
    }[engine.dialect.name]
    with engine.connect() as connection:
        definitions = [tuple(row) for row in connection.exec_driver_sql(indexes)]
    return {
        table: {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"])
                for column in inspector.get_columns(table)
            ],
            "defaults": {
                column["name"]: column["default"] for column in inspector.get_columns(table)
            },
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": sorted(inspector.get_foreign_keys(table), key=str),
            "unique": sorted(inspector.get_unique_constraints(table), key=str),
            "checks": sorted(inspector.get_check_constraints(table), key=str),
            "indexes": [
                definition
                for name, definition in definitions
                if name == table and definition and "apidevices_grams" not in definition
            ],
        }
        for table in Base.metadata.tables
    }


@pytest.fixture
def other_database(databases: Databases, tmp_path: Path) -> Iterator[Engine]:
    """A second database, without tables."""
    variables = databases.empty(tmp_path / "other")
    with only_settings(variables):
        settings = ServerSettings.from_environ()
    settings.apidevices_instance.mkdir()
    engine = create_engine(settings.url, poolclass=NullPool)
    yield engine
    databases.drop(variables)


def test_migrated_schema_equals_the_schema_created_from_the_models(
    app: Flask, other_database: Engine
) -> None:
    Base.metadata.create_all(other_database)
    assert schema(state_of(app).db.engine) == schema(other_database)


def test_autogenerate_finds_no_difference_after_all_migrations(app: Flask) -> None:
    options = {
        "version_table": migration.VERSION_TABLE,
        "include_name": migration.is_in_models,
    }
    with state_of(app).db.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
