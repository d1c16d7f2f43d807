"""``/metrics`` of the real server has the numbers of all workers."""

import os
import signal
import time
from contextlib import closing

import pytest

from harness.real_server import RealServer, wait_until
from tests.conftest import StartServer, as_device
from tests.monitoring.conftest import parse

pytestmark = pytest.mark.database("sqlite")

ALLOWED = 'apidevices_requests_total{outcome="allowed"}'


def scrape(server: RealServer, token: str) -> dict[str, float]:
    response = server.call("GET", "/metrics", as_device(token, None))
    assert response.status == 200
    return parse(response.body.decode())


def ask_gate(server: RealServer, token: str, times: int) -> None:
    for _ in range(times):
        assert server.call("GET", "/verify", as_device(token)).status == 200


def test_every_worker_reports_the_sums(make_server: StartServer) -> None:
    with make_server(WEB_CONCURRENCY="3") as server:
        token = server.create_token("prometheus", "metrics:read")
        ask_gate(server, token, 30)
        time.sleep(1)  # as late as the documentation says
        assert [scrape(server, token)[ALLOWED] for _ in range(10)] == [30] * 10
        assert scrape(server, token)["apidevices_workers"] == 3


def test_counters_do_not_fall_when_workers_are_replaced(make_server: StartServer) -> None:
    with make_server(WEB_CONCURRENCY="2") as server:
        token = server.create_token("prometheus", "metrics:read")
        ask_gate(server, token, 20)
        wait_until(lambda: scrape(server, token)[ALLOWED] == 20)
        for worker in server.workers:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: len(server.workers) == 4)
        wait_until(server.is_ready)
        ask_gate(server, token, 20)
        wait_until(lambda: scrape(server, token)[ALLOWED] == 40)
        assert scrape(server, token)["apidevices_workers"] == 2


def test_killed_worker_no_longer_counts_as_running(make_server: StartServer) -> None:
    with make_server(WEB_CONCURRENCY="2") as server:
        token = server.create_token("prometheus", "metrics:read")
        wait_until(lambda: scrape(server, token)["apidevices_workers"] == 2)
        server.process.send_signal(signal.SIGTTOU)  # gunicorn: one worker less
        wait_until(lambda: scrape(server, token)["apidevices_workers"] == 1, 20)


def test_scrapes_on_one_connection_never_see_a_counter_fall(make_server: StartServer) -> None:
    with make_server(WEB_CONCURRENCY="2") as server:
        token = server.create_token("prometheus", "metrics:read")
        seen = []
        with closing(server.connect()) as connection:
            for _ in range(20):
                ask_gate(server, token, 2)
                connection.request("GET", "/metrics", headers=as_device(token, None))
                seen.append(parse(connection.getresponse().read().decode())[ALLOWED])
        assert seen == sorted(seen)
