"""PostgreSQL restarts, hangs or fails over: 503 during the outage, normal service after it."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from psycopg import sql

from harness.postgres import Postgres
from harness.real_server import RealServer, wait_until
from tests.conftest import DEVICE, UPLOADS, VERIFY, as_device


@pytest.fixture
def primary() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture
def standby(primary: Postgres) -> Iterator[Postgres]:
    with Postgres(primary=primary) as running:
        yield running


def status(server: RealServer, token: str, identifier: str = "phone-1", path: str = DEVICE) -> int:
    """Call as a device and return the status. Every 503 must have ``Retry-After``."""
    response = server.call("GET", path, as_device(token, identifier))
    if response.status == 503:
        assert response.json["code"] == "unavailable"
        assert int(response.headers["Retry-After"]) > 0
    return response.status


@pytest.mark.parametrize("shut_down", [Postgres.stop, Postgres.kill])
def test_server_recovers_from_a_postgresql_restart(
    primary: Postgres, tmp_path: Path, shut_down: Callable[[Postgres], None]
) -> None:
    with RealServer(tmp_path / "instance", variables={"DATABASE_URL": primary.url()}) as server:
        token = server.create_token()
        assert statuses(server, token) == {200}
        headers = as_device(token) | {"Content-Type": "application/json"}
        sent = server.call("POST", UPLOADS, headers, b"[]").json["received_at"]
        workers = server.workers
        shut_down(primary)
        wait_until(lambda: status(server, token) == 503)  # killed processes take a moment to exit
        assert statuses(server, token) == {503}
        assert server.call("GET", "/livez").status == 200
        assert server.call("GET", "/readyz").status == 503
        primary.start()
        assert statuses(server, token) == {200}
        assert server.workers == workers

        def uploaded_at() -> object:
            return server.call("GET", DEVICE, as_device(token)).json["last_upload_at"]

        wait_until(lambda: uploaded_at() == sent)  # activity from before the outage gets written


def test_requests_get_503_while_postgresql_hangs(primary: Postgres, tmp_path: Path) -> None:
    with RealServer(tmp_path / "instance", variables={"DATABASE_URL": primary.url()}) as server:
        token = server.create_token()
        assert statuses(server, token) == {200}
        _signal([primary.pid], signal.SIGSTOP)  # first, so that it starts no more processes
        children = Path(f"/proc/{primary.pid}/task/{primary.pid}/children").read_text()
        processes = [primary.pid, *map(int, children.split())]
        _signal(processes, signal.SIGSTOP)
        try:
            started_at = time.monotonic()
            for path in (VERIFY, DEVICE):
                assert status(server, token, path=path) == 503
                assert time.monotonic() - started_at < 10
                started_at = time.monotonic()
            for _ in range(2):  # a probe must not wait for the previous one
                assert server.call("GET", "/readyz").status == 503
            assert server.call("GET", "/livez").status == 200
            assert time.monotonic() - started_at < 20
        finally:
            _signal(processes, signal.SIGCONT)
        wait_until(lambda: statuses(server, token) == {200})
        wait_until(server.is_ready)


def statuses(server: RealServer, token: str, identifier: str = "phone-1") -> set[int]:
    """Call the API and the gate several times, so that every worker responds."""
    return {status(server, token, identifier, path) for path in (DEVICE, VERIFY) for _ in range(10)}


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for pid in processes:
        with suppress(ProcessLookupError):  # short-lived processes may have exited
            os.kill(pid, number)


def test_server_follows_a_failover_to_the_standby(
    primary: Postgres, standby: Postgres, tmp_path: Path
) -> None:
    url = f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
    with RealServer(tmp_path / "instance", variables={"DATABASE_URL": url}) as server:
        token = server.flask("apidevices", "create-token", "test").stdout.strip()
        assert status(server, token) == status(server, token, "blocked") == 200
        assert server.flask("apidevices", "block", "blocked").returncode == 0
        assert status(server, token, "blocked") == 403
        wait_until(lambda: _position(standby, "replay") == _position(primary, "current"))

        primary.kill()
        assert statuses(server, token) == {503}
        standby.execute("SELECT pg_promote()")
        wait_until(lambda: status(server, token) == 200)
        assert statuses(server, token) == {200}
        assert statuses(server, token, "blocked") == {403}
        assert status(server, token, "new") == 200


def _position(server: Postgres, kind: str) -> object:
    function = {"replay": "pg_last_wal_replay_lsn()", "current": "pg_current_wal_lsn()"}[kind]
    return server.execute(sql.SQL("SELECT {}").format(sql.SQL(function)))
