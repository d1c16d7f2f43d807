"""Concurrent requests to several workers: no duplicate rows, and blocks apply to all workers."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from harness.real_server import RealServer, Response, wait_until
from tests.conftest import DEVICE, DEVICES, as_device
from tests.server.management import devices, history
from tests.server.threads import Threads


def call_simultaneously(
    server: RealServer, count: int, headers: Callable[[int], dict[str, str]]
) -> Counter[int]:
    """Make requests simultaneously, each on its own connection, and count the statuses."""
    barrier = threading.Barrier(count)

    def call(number: int) -> int:
        with closing(server.connect()) as connection:
            barrier.wait(20)
            connection.request("GET", DEVICE, headers=headers(number))
            return Response.read(connection.getresponse()).status

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(call, range(count)))


def test_64_concurrent_requests_register_a_device_once(server: RealServer, token: str) -> None:
    headers = as_device(token, "everywhere-1", model="iPhone 14")
    assert call_simultaneously(server, 64, lambda _: headers) == {200: 64}
    assert [entry["kind"] for entry in history(server, token, "everywhere-1")] == ["registered"]


def test_64_concurrent_requests_record_a_change_once(server: RealServer, token: str) -> None:
    server.call("GET", DEVICE, as_device(token, "everywhere-2", os_version="18"))
    headers = as_device(token, "everywhere-2", os_version="26")
    assert call_simultaneously(server, 64, lambda _: headers) == {200: 64}
    changed, _ = history(server, token, "everywhere-2")
    assert changed["changes"] == {"os_version": {"old": "18", "new": "26"}}


def test_64_devices_registered_concurrently_are_all_stored(server: RealServer, token: str) -> None:
    assert call_simultaneously(server, 64, lambda number: as_device(token, f"fleet-{number}-")) == {
        200: 64
    }
    assert len(devices(server, token, "fleet-")) == 64


class Traffic(Threads):
    """A device that calls continuously from several threads over keep-alive connections.

    Each status is recorded with the time at which its request started.
    """

    def __init__(self, server: RealServer, headers: dict[str, str], threads: int = 8) -> None:
        self.responses: list[tuple[float, int]] = []
        self._server = server
        self._headers = headers
        super().__init__([self._run] * threads)

    def since(self, moment: float) -> list[int]:
        """Return the statuses of requests that started after ``moment``."""
        return [status for started, status in list(self.responses) if started > moment]

    def _run(self) -> None:
        while not self.stopping.is_set():
            with closing(self._server.connect()) as connection:
                for _ in range(60):
                    started = time.monotonic()
                    connection.request("GET", DEVICE, headers=self._headers)
                    self.responses.append((started, Response.read(connection.getresponse()).status))
                    if self.stopping.is_set():
                        break


def block_by_command(server: RealServer, token: str, identifier: str) -> None:
    blocked = server.flask("apidevices", "block", identifier)
    assert blocked.returncode == 0, blocked.stderr


def block_by_request(server: RealServer, token: str, identifier: str) -> None:
    [device] = devices(server, token, identifier)
    path = f"{DEVICES}/{device['id']}/block"
    assert server.call("POST", path, as_device(token, None)).status == 200


@pytest.mark.parametrize("block", [block_by_command, block_by_request])
def test_every_request_after_a_block_gets_403_on_all_workers(
    server: RealServer, token: str, block: Callable[[RealServer, str, str], None]
) -> None:
    identifier = f"blocked-1-{block.__name__}"
    headers = as_device(token, identifier)
    assert server.call("GET", DEVICE, headers).status == 200
    cpu_times = server.cpu_times()
    with Traffic(server, headers) as traffic:
        wait_until(lambda: len(traffic.responses) > 100)
        block(server, token, identifier)
        blocked_at = time.monotonic()
        wait_until(lambda: len(traffic.since(blocked_at)) >= 2_000, 60)
        assert server.call("GET", DEVICE, as_device(token, "not-blocked-1")).status == 200
    after = traffic.since(blocked_at)
    assert Counter(after) == {403: len(after)}
    assert 200 in [status for _, status in traffic.responses]
    assert all(ticks > cpu_times[pid] for pid, ticks in server.cpu_times().items())


def test_unblock_from_another_process_takes_effect_immediately(
    server: RealServer, token: str
) -> None:
    headers = as_device(token, "blocked-2")
    server.call("GET", DEVICE, headers)
    server.flask("apidevices", "block", "blocked-2")
    assert call_simultaneously(server, 32, lambda _: headers) == {403: 32}
    server.flask("apidevices", "unblock", "blocked-2")
    assert call_simultaneously(server, 32, lambda _: headers) == {200: 32}


def test_revoked_token_gets_401_from_every_worker(server: RealServer) -> None:
    token = server.create_token("to be revoked")
    headers = as_device(token, "revoked-1")
    assert call_simultaneously(server, 32, lambda _: headers) == {200: 32}
    assert server.flask("apidevices", "revoke-token", token).returncode == 0
    assert call_simultaneously(server, 32, lambda _: headers) == {401: 32}


def test_denied_count_includes_requests_to_all_workers(server: RealServer, token: str) -> None:
    headers = as_device(token, "blocked-3")
    server.call("GET", DEVICE, headers)
    server.flask("apidevices", "block", "blocked-3")
    call_simultaneously(server, 40, lambda _: headers)
    wait_until(lambda: devices(server, token, "blocked-3")[0]["denied_count"] == 40)
