"""PostgreSQL goes away, hangs, or another server takes its place: 503 meanwhile, and then on."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from psycopg import sql

from harness.postgres import UNSAFE_AND_FAST, Postgres
from harness.real_server import RealServer, wait_until
from tests.conftest import DEVICE, UPLOADS, as_device


@pytest.fixture
def primary() -> Iterator[Postgres]:
    with Postgres(*UNSAFE_AND_FAST) as running:
        yield running


@pytest.fixture
def standby(primary: Postgres) -> Iterator[Postgres]:
    with Postgres(*UNSAFE_AND_FAST, follows=primary) as running:
        yield running


def status(server: RealServer, token: str, identifier: str = "phone-1") -> int:
    """Call as a device; every 503 says when to try again."""
    answer = server.call("GET", DEVICE, as_device(token, identifier))
    if answer.status == 503:
        assert answer.json["code"] == "unavailable"
        assert int(answer.headers["Retry-After"]) > 0
    return answer.status


@pytest.mark.parametrize("end", [Postgres.stop, Postgres.kill])
def test_a_restart_is_an_outage_and_no_more(
    primary: Postgres, tmp_path: Path, end: Callable[[Postgres], None]
) -> None:
    with RealServer(tmp_path / "instance", variables={"DATABASE_URL": primary.url()}) as server:
        token = server.create_token()
        assert status(server, token) == 200
        headers = as_device(token) | {"Content-Type": "application/json"}
        sent = server.call("POST", UPLOADS, headers, b"[]").json["received_at"]
        workers = server.workers
        end(primary)
        wait_until(lambda: status(server, token) == 503)  # what was killed takes a moment to end
        assert {status(server, token) for _ in range(20)} == {503}
        assert server.call("GET", "/livez").status == 200
        assert server.call("GET", "/readyz").status == 503
        primary.start()
        assert {status(server, token) for _ in range(20)} == {200}
        assert server.workers == workers

        def uploaded_at() -> object:
            return server.call("GET", DEVICE, as_device(token)).json["last_upload_at"]

        wait_until(lambda: uploaded_at() == sent)  # what waited during the outage is written


def test_a_server_that_hangs_is_not_waited_for(primary: Postgres, tmp_path: Path) -> None:
    with RealServer(tmp_path / "instance", variables={"DATABASE_URL": primary.url()}) as server:
        token = server.create_token()
        assert status(server, token) == 200
        rows = primary.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        processes = [primary.pid, *(pid for (pid,) in rows)]
        _signal(processes, signal.SIGSTOP)
        try:
            asked_at = time.monotonic()
            assert status(server, token) == 503
            assert time.monotonic() - asked_at < 10
            for _ in range(2):  # a probe does not wait either, nor for the one before it
                assert server.call("GET", "/readyz").status == 503
            assert server.call("GET", "/livez").status == 200
            assert time.monotonic() - asked_at < 20
        finally:
            _signal(processes, signal.SIGCONT)
        wait_until(lambda: status(server, token) == 200)
        wait_until(server.is_ready)


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for pid in processes:
        with suppress(ProcessLookupError):  # some of them come and go
            os.kill(pid, number)


def test_another_server_takes_over(primary: Postgres, standby: Postgres, tmp_path: Path) -> None:
    url = f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
    with RealServer(tmp_path / "instance", variables={"DATABASE_URL": url}) as server:
        token = server.create_token()
        assert status(server, token) == status(server, token, "lost") == 200
        assert server.flask("apidevices", "block", "lost").returncode == 0
        assert status(server, token, "lost") == 403
        wait_until(lambda: _position(standby, "replay") == _position(primary, "current"))

        primary.kill()
        assert {status(server, token) for _ in range(8)} == {503}
        standby.execute("SELECT pg_promote()")
        wait_until(lambda: status(server, token) == 200)
        assert {status(server, token) for _ in range(8)} == {200}
        assert {status(server, token, "lost") for _ in range(8)} == {403}
        assert status(server, token, "new") == 200


def _position(server: Postgres, kind: str) -> object:
    function = {"replay": "pg_last_wal_replay_lsn()", "current": "pg_current_wal_lsn()"}[kind]
    return server.execute(sql.SQL("SELECT {}").format(sql.SQL(function)))
