"""The lookup of a request's token and device."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, create_engine

from apidevices import devices, tokens
from apidevices.database import Database, engine_for, sqlite, sqlite_module
from apidevices.lookup import (
    Found,
    FoundDevice,
    FoundToken,
    Lookup,
    LookupFailed,
    make_lookup,
)
from apidevices.models import Base
from tests.conftest import NOON, Register


@pytest.fixture
def lookup(db: Database) -> Iterator[Lookup]:
    lookup = make_lookup(db, tokens=True)
    yield lookup
    lookup.close()


@pytest.fixture
def digest(db: Database) -> bytes:
    expires_at = NOON + timedelta(hours=1)
    _, text = tokens.issue(db, "té", ["devices:read"], expires_at=expires_at, actor="ann", now=NOON)
    return tokens.digest(text)


def find(lookup: Lookup, digest: bytes, identifier: str | None = "phone-1") -> Found:
    return lookup.find(digest, identifier, NOON)


def is_blocked(lookup: Lookup, digest: bytes) -> bool:
    device = find(lookup, digest).device
    assert device is not None
    return device.blocked


def test_valid_token_and_known_device_are_found(
    lookup: Lookup, digest: bytes, db: Database, register: Register
) -> None:
    device_id = register("phone-1", os="iOS", model="红米")
    token, device = find(lookup, digest)
    assert token == FoundToken(tokens.find(db, "té").id, "té", '["devices:read"]')
    assert device == FoundDevice(device_id, None, False, [None, None, "iOS", None, None, "红米"])


@pytest.mark.parametrize(("required", "number"), [(True, 50), (True, 0), (False, None)])
def test_requirements_of_the_token_are_found(
    lookup: Lookup, db: Database, required: bool, number: int | None
) -> None:
    _, text = tokens.issue(
        db,
        "strict",
        requires_device_id=required,
        new_devices_per_hour=number,
        actor="ann",
        now=NOON,
    )
    token = find(lookup, tokens.digest(text)).token
    assert token is not None
    assert (token.requires_device_id, token.new_devices_per_hour) == (required, number)


def test_known_device_is_not_found_with_an_unknown_token(
    lookup: Lookup, register: Register
) -> None:
    register("phone-1")
    assert find(lookup, b"x" * 32) == Found(None, None)


@pytest.mark.parametrize("identifier", ["phone-2", "PHONE-1", None])
def test_token_is_found_with_an_unknown_or_missing_device(
    lookup: Lookup, digest: bytes, register: Register, identifier: str | None
) -> None:
    register("phone-1")
    token, device = find(lookup, digest, identifier)
    assert token is not None
    assert device is None


@pytest.mark.parametrize("identifier", ["phone-1", "phone-2"])
def test_lookup_without_tokens_finds_known_devices_only(
    db: Database, register: Register, identifier: str
) -> None:
    device_id = register("phone-1")
    lookup = make_lookup(db, tokens=False)
    token, device = lookup.find(None, identifier, NOON)
    lookup.close()
    assert token is None
    assert (device and device.id) == (device_id if identifier == "phone-1" else None)


def test_token_is_found_until_it_expires(lookup: Lookup, digest: bytes) -> None:
    expires_at = NOON + timedelta(hours=1)
    for moment, valid in ((expires_at - timedelta(microseconds=1), True), (expires_at, False)):
        assert (lookup.find(digest, None, moment).token is not None) is valid


def test_lookup_sees_blocks_and_revocations_immediately(
    lookup: Lookup, digest: bytes, db: Database, register: Register
) -> None:
    device_id = register("phone-1")
    for _ in range(2):
        assert not is_blocked(lookup, digest)
        devices.block(db, device_id, actor="ann", now=NOON)
        assert is_blocked(lookup, digest)
        devices.unblock(db, device_id, actor="ann", now=NOON)
    tokens.revoke(db, tokens.find(db, "té").id, actor="ann", now=NOON)
    assert find(lookup, digest) == Found(None, None)


@pytest.fixture
def empty_engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    yield engine
    engine.dispose()


def test_lookup_fails_if_a_table_is_missing(empty_engine: Engine) -> None:
    lookup = make_lookup(Database(empty_engine), tokens=True)
    with pytest.raises(LookupFailed, match="no such table"):
        lookup.find(b"x" * 32, "phone-1", NOON)
    lookup.close()


def test_lookup_is_thread_safe(lookup: Lookup, digest: bytes) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # switch threads often, to provoke races
    try:
        with ThreadPoolExecutor(16) as pool:
            found = [pool.submit(find, lookup, digest, None) for _ in range(2_000)]
            assert all(future.result().token for future in found)
    finally:
        sys.setswitchinterval(interval)


# --- journal mode of SQLite --------------------------------------------------------------------


def journal_warnings(
    tmp_path: Path, journal: str, caplog: pytest.LogCaptureFixture, *, times: int = 1
) -> list[str]:
    """Look up devices in a host application's database; return the logged warnings."""
    engine = create_engine(f"sqlite:///{tmp_path}/shop.sqlite3", module=sqlite_module())
    with engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA journal_mode = {journal}")
        Base.metadata.create_all(connection)
        connection.commit()
    for _ in range(times):
        lookup = make_lookup(Database(engine_for(engine)), tokens=False)
        lookup.find(None, "phone-1", NOON)
        lookup.close()
    engine.dispose()
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def pretend_wal_reset_bug(
    monkeypatch: pytest.MonkeyPatch, *, in_host: bool, in_own_module: bool
) -> None:
    """Pretend that the SQLite of the host or of API Devices corrupts WAL databases."""
    own = SimpleNamespace(sqlite_version_info="own")
    monkeypatch.setattr(sqlite, "sqlite_module", lambda: own)
    monkeypatch.setattr(
        sqlite,
        "has_wal_reset_bug",
        lambda version: in_own_module if version == "own" else in_host,
    )


@pytest.mark.parametrize("host_has_bug", [False, True])
def test_sqlite_database_without_wal_causes_one_warning(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    host_has_bug: bool,
) -> None:
    pretend_wal_reset_bug(monkeypatch, in_host=host_has_bug, in_own_module=False)
    (warning,) = journal_warnings(tmp_path, "DELETE", caplog, times=2)
    assert "shop.sqlite3 is in journal mode delete" in warning
    assert ("PRAGMA journal_mode=WAL" in warning) is not host_has_bug
    assert "db='sqlite:///" in warning


def test_sqlite_database_in_wal_mode_causes_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_wal_reset_bug(monkeypatch, in_host=False, in_own_module=False)
    assert journal_warnings(tmp_path, "WAL", caplog) == []


def test_sqlite_database_without_wal_causes_no_warning_if_wal_is_unsafe(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_wal_reset_bug(monkeypatch, in_host=True, in_own_module=True)
    assert journal_warnings(tmp_path, "DELETE", caplog) == []
