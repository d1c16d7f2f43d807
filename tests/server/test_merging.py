"""Merges while the merged devices call several workers: no request gets past a block."""

import time
from collections import Counter
from collections.abc import Callable

import pytest

from harness.real_server import RealServer, wait_until
from tests.conftest import DEVICES, as_device
from tests.server.management import devices
from tests.server.test_concurrency import Traffic

Pair = tuple[int, int]


def merge(server: RealServer, token: str, pair: Pair) -> None:
    path, body = f"{DEVICES}/{pair[1]}/merge", b'{"from": %d}' % pair[0]
    headers = as_device(token, None) | {"Content-Type": "application/json"}
    assert server.call("POST", path, headers, body).status == 200


def block(server: RealServer, token: str, device_id: int) -> None:
    path = f"{DEVICES}/{device_id}/block"
    assert server.call("POST", path, as_device(token, None)).status == 200


def merge_and_block(server: RealServer, token: str, pair: Pair) -> None:
    merge(server, token, pair)
    block(server, token, pair[1])


def block_and_merge(server: RealServer, token: str, pair: Pair) -> None:
    block(server, token, pair[0])
    merge(server, token, pair)


@pytest.mark.parametrize("change", [merge_and_block, block_and_merge])
def test_no_identifier_gets_past_a_block_after_a_merge(
    server: RealServer, token: str, change: Callable[[RealServer, str, Pair], None]
) -> None:
    names = [f"{change.__name__}-{which}" for which in ("old", "new")]
    old, new = (as_device(token, name) for name in names)
    with Traffic(server, old, 4) as of_old, Traffic(server, new, 4) as of_new:
        wait_until(lambda: min(len(of_old.responses), len(of_new.responses)) > 50)
        pair = devices(server, token, names[0])[0]["id"], devices(server, token, names[1])[0]["id"]
        change(server, token, pair)
        changed_at = time.monotonic()
        both = (of_old, of_new)
        wait_until(lambda: min(len(each.since(changed_at)) for each in both) >= 1_000, 60)
    for traffic in both:
        after = traffic.since(changed_at)
        assert Counter(after) == {403: len(after)}
        assert {status for _, status in traffic.responses} == {200, 403}
    [device] = devices(server, token, change.__name__)
    assert (device["id"], device["aliases"]) == (pair[1], [names[0]])
