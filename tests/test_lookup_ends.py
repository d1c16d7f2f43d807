"""All lookups agree on whether a block has ended, to the microsecond."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from apidevices import tokens
from apidevices.database import Database
from apidevices.lookup import AsyncLookup, Found, Lookup, make_async_lookup, make_lookup
from apidevices.models import Device
from tests.conftest import NOON, Register
from tests.event_loops import run_async

moments = st.integers(-(10**13), 10**13).map(lambda number: NOON + timedelta(microseconds=number))
near = st.integers(-2, 2).map(lambda number: NOON + timedelta(microseconds=number))
zones = st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours)))


@pytest.fixture
def digest(db: Database) -> bytes:
    return tokens.digest(tokens.issue(db, "test", actor="ann", now=NOON)[1])


@pytest.fixture
def lookups(db: Database) -> Iterator[list[Lookup]]:
    """The lookups with and without tokens."""
    found = [make_lookup(db, tokens=True), make_lookup(db, tokens=False)]
    yield found
    for lookup in found:
        lookup.close()


@contextmanager
def in_event_loop(lookup: Lookup) -> Iterator[AsyncLookup]:
    with ThreadPoolExecutor(2) as executor:
        connected = make_async_lookup(lookup, executor)
        try:
            yield connected
        finally:
            connected.close()


async def find_twice(lookup: Lookup, digest: bytes, now: datetime) -> list[Found]:
    """Find the device in an event loop, the second time on the open connection."""
    with in_event_loop(lookup) as connected:
        return [await connected.find(digest, "phone-1", now) for _ in range(2)]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.none() | moments | near, moments | near, zones)
@example(NOON, NOON, UTC)
@example(NOON.replace(microsecond=1), NOON, UTC)
def test_device_is_blocked_exactly_until_the_end(
    db: Database, register: Register, lookups: list[Lookup], digest: bytes,
    until: datetime | None, now: datetime, zone: timezone,
) -> None:  # fmt: skip
    device_id = register("phone-1")
    block = {"blocked_at": NOON, "blocked_by": "ann", "blocked_until": until}
    with db.write() as session:
        session.execute(update(Device).where(Device.id == device_id).values(block))
    now = now.astimezone(zone)
    found = [lookup.find(digest, "phone-1", now) for lookup in lookups]
    found += run_async(find_twice(lookups[0], digest, now))
    expected = until is None or until > now
    assert [each.device.blocked for each in found if each.device] == [expected] * 4
