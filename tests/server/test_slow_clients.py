"""Clients that are slow, silent or hostile must not keep the server from serving others."""

import resource
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from harness.real_server import PROGRAM, RealServer, wait_until
from tests.conftest import DEVICE, DEVICES, StartServer, as_device
from tests.server.crowd import HABITS, LARGE, Habit, crowd, seconds
from tests.server.management import devices

pytestmark = pytest.mark.database("sqlite")

COUNT = 500


@pytest.fixture(scope="module", autouse=True)
def _many_open_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * COUNT)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory(server: RealServer) -> int:
    """Return the memory of all worker processes in MiB."""
    status = "".join(Path(f"/proc/{pid}/status").read_text() for pid in server.workers)
    lines = [line.split() for line in status.splitlines()]
    return sum(int(words[1]) for words in lines if words[0] == "VmRSS:") // 1024


def is_idle(server: RealServer) -> bool:
    """Return whether the workers have nothing left to do for the clients."""
    before = sum(server.cpu_times().values())
    time.sleep(0.3)
    return sum(server.cpu_times().values()) - before <= 2


def serves_others(server: RealServer, token: str) -> None:
    """Call the server as devices, browsers and administrators do."""
    phone = as_device(token, "phone-1")
    assert server.call("GET", "/verify", phone).status == 200
    assert server.call("GET", "/livez").status == 200
    assert server.call("GET", "/login").status == 200
    [device] = devices(server, token, "phone-1")
    url = f"{DEVICES}/{device['id']}"
    assert server.call("POST", f"{url}/block", as_device(token, None)).status == 200
    assert server.call("GET", "/verify", phone).status == 403
    assert server.call("POST", f"{url}/unblock", as_device(token, None)).status == 200


@pytest.mark.parametrize("habit", HABITS, ids=[habit.name for habit in HABITS])
def test_500_slow_clients_leave_the_server_fast_for_others(
    server: RealServer, token: str, habit: Habit
) -> None:
    assert server.call("GET", DEVICE, as_device(token, "phone-1")).status == 200
    log, memory_before = len(server.log), memory(server)
    with crowd(server, habit, COUNT):
        if LARGE in habit.begin:  # handling so many requests takes time, read or not
            wait_until(partial(is_idle, server), 60)
        for _ in range(5):
            assert seconds(lambda: serves_others(server, token)) < 5
            time.sleep(0.3)
        assert memory(server) - memory_before < 400
    assert len(server.log) - log < 3_000


def test_slow_clients_are_disconnected_and_honest_ones_are_not(make_server: StartServer) -> None:
    timeouts = {"APIDEVICES_READ_TIMEOUT": "1", "APIDEVICES_SEND_TIMEOUT": "1"}
    with make_server(WEB_CONCURRENCY="1", **timeouts) as server, ExitStack() as stack:
        honest = stack.enter_context(closing(server.connect()))
        crowds = [stack.enter_context(crowd(server, habit, 10)) for habit in HABITS]
        for _ in range(2):
            honest.request("GET", "/livez")
            assert honest.getresponse().read() == b"ok\n"
            time.sleep(2)  # longer than the timeouts: idle connections are kept for proxies
        for slow in crowds:
            is_kept = slow.habit.name == "idle"
            wait_until(partial(slow.has_closed, 0 if is_kept else 10), 5)
        honest.request("GET", "/livez")
        assert honest.getresponse().read() == b"ok\n"


@pytest.mark.parametrize("name", ["silent", "half a body", "never reads", "idle"])
def test_slow_clients_at_the_connection_limit_give_way_to_others(
    make_server: StartServer, name: str
) -> None:
    [habit] = [habit for habit in HABITS if habit.name == name]
    with make_server(WEB_CONCURRENCY="1", APIDEVICES_CONNECTIONS="20") as server:
        token = server.create_token("test", "devices:read", "devices:write")
        assert server.call("GET", DEVICE, as_device(token, "phone-1")).status == 200
        with crowd(server, habit, 60) as slow:
            wait_until(partial(is_idle, server), 30)  # busy connections are kept
            time.sleep(1)
            assert seconds(lambda: serves_others(server, token)) < 5
            assert 40 <= slow.count_closed() < 60


def test_longest_waiting_connection_is_closed_at_the_limit(make_server: StartServer) -> None:
    with (
        make_server(WEB_CONCURRENCY="1", APIDEVICES_CONNECTIONS="20") as server,
        crowd(server, HABITS[0], 15) as old,
        crowd(server, HABITS[1], 10) as new,
    ):
        wait_until(lambda: old.count_closed() >= 5)
        assert new.count_closed() == 0


def test_clients_that_reset_connections_cost_no_memory(server: RealServer) -> None:
    before = memory(server)
    for _ in range(8):
        with crowd(server, HABITS[-1], COUNT) as clients:
            for connection in clients.sockets:
                reset = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    assert memory(server) - before < 20


def test_server_stops_in_time_while_slow_clients_are_connected(make_server: StartServer) -> None:
    with make_server(WEB_CONCURRENCY="2") as server, ExitStack() as crowds:
        for habit in HABITS:
            crowds.enter_context(crowd(server, habit, 100 // len(HABITS)))
        server.process.send_signal(signal.SIGTERM)
        assert seconds(lambda: server.process.wait(60)) < 40  # 25 on an idle machine
        assert server.process.returncode == 0
        assert "ERROR" not in server.log


def test_low_limit_of_open_files_lowers_the_number_of_connections(tmp_path: Path) -> None:
    program = ("prlimit", "--nofile=200:200", *PROGRAM)
    variables = {"WEB_CONCURRENCY": "1"}
    with RealServer(tmp_path / "instance", program=program, variables=variables) as server:
        assert "permits 200 open files per process" in server.log
        with crowd(server, HABITS[0], 300):
            for _ in range(5):
                assert server.call("GET", "/livez").status == 200
