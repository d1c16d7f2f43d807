"""What only many requests and processes at once can show: one row, one entry, no way around."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from harness.real_server import (
    Answer,
    RealServer,
    wait_until,
)
from tests.conftest import DEVICE, DEVICES, as_device
from tests.server.seen import devices, history
from tests.server.threads import Threads


def all_at_once(
    server: RealServer, count: int, headers: Callable[[int], dict[str, str]]
) -> Counter[int]:
    """Make requests at the same moment, each on a connection of its own; count the statuses."""
    together = threading.Barrier(count)

    def call(number: int) -> int:
        with closing(server.connect()) as connection:
            together.wait(20)
            connection.request("GET", DEVICE, headers=headers(number))
            return Answer.read(connection.getresponse()).status

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(call, range(count)))


def test_one_new_device_at_64_places_is_registered_once(server: RealServer, token: str) -> None:
    headers = as_device(token, "everywhere-1", model="iPhone 14")
    assert all_at_once(server, 64, lambda _: headers) == {200: 64}
    assert [entry["kind"] for entry in history(server, token, "everywhere-1")] == ["registered"]


def test_one_change_at_64_places_is_recorded_once(server: RealServer, token: str) -> None:
    server.call("GET", DEVICE, as_device(token, "everywhere-2", os_version="18"))
    headers = as_device(token, "everywhere-2", os_version="26")
    assert all_at_once(server, 64, lambda _: headers) == {200: 64}
    changed, _ = history(server, token, "everywhere-2")
    assert changed["changes"] == {"os_version": {"old": "18", "new": "26"}}


def test_64_new_devices_at_once_are_all_registered(server: RealServer, token: str) -> None:
    assert all_at_once(server, 64, lambda number: as_device(token, f"fleet-{number}-")) == {200: 64}
    assert len(devices(server, token, "fleet-")) == 64


class Traffic(Threads):
    """A device that calls without a pause, from several threads; the connections are kept alive.

    Each answer is noted with the moment at which its request was begun.
    """

    def __init__(self, server: RealServer, headers: dict[str, str], threads: int = 8) -> None:
        self.answers: list[tuple[float, int]] = []
        self._server = server
        self._headers = headers
        super().__init__([self._run] * threads)

    def since(self, moment: float) -> list[int]:
        """Return the statuses of the answers to requests that were begun after a moment."""
        return [status for begun, status in list(self.answers) if begun > moment]

    def _run(self) -> None:
        while not self.enough.is_set():
            with closing(self._server.connect()) as connection:
                for _ in range(60):
                    begun = time.monotonic()
                    connection.request("GET", DEVICE, headers=self._headers)
                    self.answers.append((begun, Answer.read(connection.getresponse()).status))
                    if self.enough.is_set():
                        break


def processor_time(pid: int) -> int:
    """Return how long a process has run, in ticks of the system (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def block_by_command(server: RealServer, token: str, identifier: str) -> None:
    blocked = server.flask("apidevices", "block", identifier)
    assert blocked.returncode == 0, blocked.stderr


def block_by_request(server: RealServer, token: str, identifier: str) -> None:
    [device] = devices(server, token, identifier)
    path = f"{DEVICES}/{device['id']}/block"
    assert server.call("POST", path, as_device(token, None)).status == 200


@pytest.mark.parametrize("block", [block_by_command, block_by_request])
def test_nothing_passes_once_a_block_has_been_answered(
    server: RealServer, token: str, block: Callable[[RealServer, str, str], None]
) -> None:
    identifier = f"shut-1-{block.__name__}"
    headers = as_device(token, identifier)
    assert server.call("GET", DEVICE, headers).status == 200
    spent = {pid: processor_time(pid) for pid in server.workers}
    with Traffic(server, headers) as traffic:
        wait_until(lambda: len(traffic.answers) > 100)
        block(server, token, identifier)
        answered = time.monotonic()
        wait_until(lambda: len(traffic.since(answered)) >= 5_000, 60)
        assert server.call("GET", DEVICE, as_device(token, "open-1")).status == 200
    after = traffic.since(answered)
    assert Counter(after) == {403: len(after)}
    assert 200 in [status for _, status in traffic.answers]
    assert all(processor_time(pid) > ticks for pid, ticks in spent.items())


def test_unblock_from_another_process_holds_at_once(server: RealServer, token: str) -> None:
    headers = as_device(token, "shut-2")
    server.call("GET", DEVICE, headers)
    server.flask("apidevices", "block", "shut-2")
    assert all_at_once(server, 32, lambda _: headers) == {403: 32}
    server.flask("apidevices", "unblock", "shut-2")
    assert all_at_once(server, 32, lambda _: headers) == {200: 32}


def test_revoked_token_is_refused_by_every_worker(server: RealServer) -> None:
    token = server.create_token("to be revoked")
    headers = as_device(token, "revoked-1")
    assert all_at_once(server, 32, lambda _: headers) == {200: 32}
    assert server.flask("apidevices", "revoke-token", token).returncode == 0
    assert all_at_once(server, 32, lambda _: headers) == {401: 32}


def test_denied_requests_of_all_workers_add_up(server: RealServer, token: str) -> None:
    headers = as_device(token, "shut-3")
    server.call("GET", DEVICE, headers)
    server.flask("apidevices", "block", "shut-3")
    all_at_once(server, 40, lambda _: headers)
    wait_until(lambda: devices(server, token, "shut-3")[0]["denied_count"] == 40)
