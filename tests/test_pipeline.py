"""Lookups of an event loop, which share one PostgreSQL connection."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import make_url, text

from apidevices.database import LOCK_TIMEOUT, Database, engine_for
from apidevices.lookup import (
    AsyncLookup,
    LookupFailed,
    asynchronous,
    make_async_lookup,
    make_lookup,
)
from apidevices.lookup.asynchronous import AsyncPostgresLookup
from apidevices.lookup.pipeline import PipelineBroken
from harness.real_server import ROOT
from tests.conftest import NOON, Register
from tests.event_loops import run_async

pytestmark = pytest.mark.database("postgresql")

Use = Callable[[AsyncPostgresLookup], Awaitable[None]]


def use_lookup(url: str, use: Use) -> None:
    """Run a test in an event loop, with a lookup of devices."""
    engine = engine_for(url)
    lookup = make_lookup(Database(engine), tokens=False)

    async def run(executor: ThreadPoolExecutor) -> None:
        connected = make_async_lookup(lookup, executor)
        assert isinstance(connected, AsyncPostgresLookup)
        try:
            await use(connected)
        finally:
            connected.close()

    with ThreadPoolExecutor(4) as executor:
        run_async(run(executor))
    lookup.close()
    engine.dispose()


def url_of(db: Database) -> str:
    return db.engine.url.render_as_string(hide_password=False)


async def found(lookup: AsyncLookup, identifier: str = "phone-1") -> bool:
    return (await lookup.find(None, identifier, NOON)).device is not None


@pytest.fixture
def stalling(db: Database) -> Iterator["subprocess.Popen[str]"]:
    """A proxy that can stop in the middle of the second result of a batch."""
    command = [sys.executable, "-m", "harness.stalling_proxy"]
    arguments = [str(db.engine.url.port), "400", str(LOCK_TIMEOUT + 3)]
    with subprocess.Popen(
        [*command, *arguments],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield process
        process.kill()


def test_event_loop_goes_on_while_a_result_is_incomplete(
    db: Database, register: Register, stalling: "subprocess.Popen[str]"
) -> None:
    register("phone-1")
    assert stalling.stdin
    assert stalling.stdout
    port = int(stalling.stdout.readline())
    url = make_url(url_of(db)).set(port=port).render_as_string(hide_password=False)

    async def use(lookup: AsyncPostgresLookup) -> None:
        assert await found(lookup)
        assert stalling.stdin
        stalling.stdin.write("\n")
        stalling.stdin.flush()
        await asyncio.sleep(0.2)
        queries = [asyncio.ensure_future(found(lookup)) for _ in range(5)]
        longest, last = 0.0, time.monotonic()
        while not all(query.done() for query in queries):
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert longest < 1
        errors = [query.exception() for query in queries]
        assert {type(error) for error in errors} <= {type(None), LookupFailed}
        assert any(errors)
        assert await found(lookup)  # on a new connection

    use_lookup(url, use)


def test_error_of_the_statement_is_retried_on_another_connection(
    db: Database, register: Register
) -> None:
    register("phone-1")

    async def use(lookup: AsyncPostgresLookup) -> None:
        assert await found(lookup)
        with db.engine.begin() as connection:  # invalidates the plan of the prepared statement
            change = "ALTER TABLE apidevices_devices ALTER name TYPE varchar(300)"
            connection.execute(text(change))
        assert await asyncio.gather(*(found(lookup) for _ in range(5))) == [True] * 5
        assert await found(lookup)

    use_lookup(url_of(db), use)


def test_canceled_query_leaves_the_results_of_others_in_order(
    db: Database, register: Register
) -> None:
    for number in range(0, 20, 2):
        register(f"phone-{number}")

    async def use(lookup: AsyncPostgresLookup) -> None:
        await found(lookup)
        queries = [asyncio.ensure_future(found(lookup, f"phone-{n}")) for n in range(20)]
        await asyncio.sleep(0)
        for query in queries[::3]:
            query.cancel()
        results = await asyncio.gather(*queries, return_exceptions=True)
        for number, result in enumerate(results):
            if number % 3:
                assert result == (number % 2 == 0)

    use_lookup(url_of(db), use)


def test_query_on_a_closed_connection_fails_at_once(db: Database) -> None:
    async def use(lookup: AsyncPostgresLookup) -> None:
        await found(lookup)
        pipeline = lookup._pipeline
        assert pipeline is not None
        waiting = asyncio.ensure_future(pipeline.execute([b"phone-1"]))
        await asyncio.sleep(0)
        pipeline.close()
        for query in (waiting, pipeline.execute([b"phone-1"])):
            with pytest.raises(PipelineBroken):
                await asyncio.wait_for(query, 5)

    use_lookup(url_of(db), use)


def test_lookup_fails_if_connecting_takes_too_long(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asynchronous, "_CONNECT_TIMEOUT", 0.1)
    connecting = threading.Event()

    async def use(lookup: AsyncPostgresLookup) -> None:
        connect = lookup._lookup.open
        monkeypatch.setattr(lookup._lookup, "open", lambda: connecting.wait(20) and connect())
        with pytest.raises(LookupFailed):
            await found(lookup)
        connecting.set()
        await asyncio.sleep(0.5)
        assert not await found(lookup)  # connected in the meantime

    use_lookup(url_of(db), use)
