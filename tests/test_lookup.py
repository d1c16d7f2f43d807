"""The one read of a request: token and device as they are committed at that moment."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, create_engine

from apidevices import devices, tokens
from apidevices.database import Database
from apidevices.lookup import Known, Lookup, LookupFailed, make_lookup
from tests.conftest import NOON, Register


@pytest.fixture
def lookup(db: Database) -> Iterator[Lookup]:
    made = make_lookup(db.engine, tokens=True)
    yield made
    made.close()


@pytest.fixture
def digest(db: Database) -> bytes:
    expires_at = NOON + timedelta(hours=1)
    _, text = tokens.issue(db, "té", ["devices:read"], expires_at=expires_at, actor="ann", now=NOON)
    return tokens.digest(text)


def found(lookup: Lookup, digest: bytes, identifier: str | None = "phone-1") -> Known:
    known = lookup.find(digest, identifier, NOON)
    assert known is not None
    return known


def test_token_and_device_come_together(lookup: Lookup, digest: bytes, register: Register) -> None:
    device_id = register("phone-1", os="iOS", model="红米")
    known = found(lookup, digest)
    assert (known.token_name, known.scopes_json) == ("té", '["devices:read"]')
    assert (known.valid, known.device_id, known.blocked) == (True, device_id, False)
    assert list(known.details) == [None, None, "iOS", None, None, "红米"]


def test_unknown_token_is_not_found(lookup: Lookup) -> None:
    assert lookup.find(b"x" * 32, "phone-1", NOON) is None


@pytest.mark.parametrize("identifier", ["phone-2", "PHONE-1", None])
def test_token_is_found_without_its_device(
    lookup: Lookup, digest: bytes, register: Register, identifier: str | None
) -> None:
    register("phone-1")
    known = found(lookup, digest, identifier)
    assert (known.valid, known.device_id, bool(known.blocked)) == (True, None, False)


def test_token_is_valid_until_it_expires(lookup: Lookup, digest: bytes) -> None:
    expires_at = NOON + timedelta(hours=1)
    for moment, valid in ((expires_at - timedelta(microseconds=1), True), (expires_at, False)):
        known = lookup.find(digest, None, moment)
        assert known is not None
        assert bool(known.valid) is valid


def test_each_call_sees_what_is_committed(
    lookup: Lookup, digest: bytes, db: Database, register: Register
) -> None:
    device_id = register("phone-1")
    for _ in range(2):
        assert not found(lookup, digest).blocked
        devices.block(db, device_id, actor="ann", now=NOON)
        assert found(lookup, digest).blocked
        devices.unblock(db, device_id, actor="ann", now=NOON)
    tokens.revoke(db, tokens.find(db, "té").id, actor="ann", now=NOON)
    assert not found(lookup, digest).valid


@pytest.fixture
def empty_engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    yield engine
    engine.dispose()


def test_database_without_tables_can_t_be_asked(empty_engine: Engine) -> None:
    lookup = make_lookup(empty_engine, tokens=True)
    with pytest.raises(LookupFailed, match="no such table"):
        lookup.find(b"x" * 32, "phone-1", NOON)
    lookup.close()


def test_threads_share_the_connections(lookup: Lookup, digest: bytes) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # let threads meet where they seldom do
    try:
        with ThreadPoolExecutor(16) as pool:
            asked = [pool.submit(found, lookup, digest, None) for _ in range(2_000)]
            assert all(future.result().valid for future in asked)
    finally:
        sys.setswitchinterval(interval)
