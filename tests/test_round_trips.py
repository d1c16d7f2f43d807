"""The round trips that a tracked request makes to PostgreSQL."""

import os
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from apidevices.activity import ActivityBuffer
from harness.counting_proxy import CountingProxy, counting_proxy
from harness.postgres import Postgres
from tests.conftest import Administrator, MakeApp, as_device

pytestmark = pytest.mark.database("postgresql")

UNKNOWN_PATH = "/api/v1/nowhere"
"""A protected path without a view: after the device check, its 404 needs no database access."""


@pytest.fixture
def proxy(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingProxy]:
    # The proxy would also count the flushes of the background thread.
    monkeypatch.setattr(ActivityBuffer, "flush", lambda _buffer, **_: None)
    with counting_proxy(postgres.port) as running:
        yield running


@pytest.fixture
def client(make_app: MakeApp, postgres: Postgres, proxy: CountingProxy) -> FlaskClient:
    """A client of an application that connects to its database through the proxy."""
    make_app()  # sets DATABASE_URL
    url = os.environ["DATABASE_URL"]
    proxied_url = url.replace(f":{postgres.port}/", f":{proxy.port}/")
    return make_app(DATABASE_URL=proxied_url).test_client()


@pytest.mark.parametrize("blocked", [False, True], ids=["allowed", "denied"])
def test_request_from_a_known_device_takes_one_round_trip_and_no_transaction(
    client: FlaskClient,
    proxy: CountingProxy,
    administrator: Administrator,
    token: str,
    blocked: bool,
) -> None:
    headers = as_device(token, model="iPhone 16 Pro")
    client.get(UNKNOWN_PATH, headers=headers)
    if blocked:
        administrator.block()
    before, in_transaction = proxy.round_trips, proxy.in_transaction
    for _ in range(20):
        response = client.post(UNKNOWN_PATH, headers=headers)
        assert response.status_code == (403 if blocked else 404)
    assert proxy.round_trips - before == 20
    assert proxy.in_transaction == in_transaction
