"""A block with an end: no request is accepted before it, and each request after it."""

import http.client
import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import pytest

from harness.real_server import RealServer, wait_until
from tests.conftest import DEVICE, DEVICES, VERIFY, StartServer, as_device
from tests.server.management import devices, history
from tests.server.threads import Threads

# PostgreSQL only, to save time: its lookup in the event loop differs more from that in threads.
pytestmark = pytest.mark.database("postgresql")


class Answer(NamedTuple):
    """When a request was sent and answered, by the clock of this host, and its status."""

    sent: float
    received: float
    status: int


class Callers(Threads):
    """A device that calls all the time, on new connections, also while the server restarts."""

    def __init__(self, server: RealServer, headers: dict[str, str]) -> None:
        self.answers: list[Answer] = []
        self._server = server
        self._headers = headers
        super().__init__([partial(self._run, path) for path in (DEVICE, VERIFY) * 2])

    def _run(self, path: str) -> None:
        while not self.stopping.wait(0.01):
            sent = time.time()
            with suppress(OSError, http.client.HTTPException):
                status = self._server.call("GET", path, self._headers).status
                self.answers.append(Answer(sent, time.time(), status))


def test_device_is_served_right_after_the_end_of_its_block_and_never_before(
    make_server: StartServer,
) -> None:
    with make_server(WEB_CONCURRENCY="4") as server:
        token = server.create_token("test", "devices:read", "devices:write")
        headers = as_device(token)
        assert server.call("GET", DEVICE, headers).status == 200
        [device] = devices(server, token, "phone-1")

        def block_until(end: float) -> None:
            body = json.dumps({"until": datetime.fromtimestamp(end, UTC).isoformat()}).encode()
            administrator = as_device(token, None) | {"Content-Type": "application/json"}
            path = f"{DEVICES}/{device['id']}/block"
            assert server.call("POST", path, administrator, body).status == 200

        block_until(time.time() + 3600)
        with Callers(server, headers) as callers:
            wait_until(lambda: len(callers.answers) > 50)
            server.stop()
            server.launch()
            wait_until(server.is_ready, 60)
            end = time.time() + 3
            block_until(end)
            wait_until(lambda: time.time() > end + 1.5)
        wait_until(lambda: history(server, token, "phone-1")[0]["kind"] == "unblocked")
        ended = history(server, token, "phone-1")[0]
    early = [each for each in callers.answers if each.received < end]
    late = [each for each in callers.answers if each.sent > end]
    assert {each.status for each in early} == {403}
    assert len([each for each in early if each.sent > end - 2]) > 20
    assert {each.status for each in late} == {200}
    assert min(each.received for each in late) < end + 1
    assert abs(datetime.fromisoformat(ended["at"]).timestamp() - end) < 0.001
