"""Operations on many devices survive the death of their process."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from apidevices.database import engine_for
from benchmarks import fleet
from benchmarks.rows import fill
from harness.administrator import SignedIn
from harness.databases import Databases
from harness.real_server import RealServer, wait_until

COUNT = 2_000
ACTIVE = sum(not fleet.is_blocked(number) for number in range(COUNT))
BULK = "/settings/api-devices/bulk"


@pytest.fixture
def server(databases: Databases, tmp_path: Path) -> Iterator[RealServer]:
    """A server with one worker and many devices."""
    instance = tmp_path / "instance"
    database = databases.empty(instance)
    with RealServer(instance, variables=database | {"WEB_CONCURRENCY": "1"}) as running:
        engine = engine_for(running.database_url)
        fill(engine, "apd_test", range(COUNT))
        engine.dispose()
        yield running
    databases.drop(database)


def test_killed_worker_leaves_no_operation_half_done(server: RealServer) -> None:
    admin = SignedIn(server)
    fields = {"action": "block", "all": 1, "expected": COUNT}
    progress = admin.submit(BULK, fields, f"{BULK}?action=block&all=1")
    assert "<progress" in admin.read(progress)
    os.kill(server.workers[-1], signal.SIGKILL)
    blocked = f"{ACTIVE:,} devices were blocked, {COUNT - ACTIVE} were already blocked."
    wait_until(lambda: blocked in admin.read(progress), 60)
    assert all(device["blocked_at"] for device in server.devices())
