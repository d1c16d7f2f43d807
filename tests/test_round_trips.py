"""What a tracked request costs on PostgreSQL, counted on the wire."""

import os
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from apidevices.activity import ActivityBuffer
from harness.counting_proxy import CountingProxy, counting_proxy
from harness.postgres import Postgres
from tests.conftest import Administrator, MakeApp, as_device

pytestmark = pytest.mark.database("postgresql")

NOWHERE = "/api/v1/nowhere"
"""A path that is checked like any other of the API, and then answered without the database."""


@pytest.fixture
def proxy(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingProxy]:
    # What a thread writes meanwhile belongs to no request.
    monkeypatch.setattr(ActivityBuffer, "flush", lambda _buffer: None)
    with counting_proxy(postgres.port) as running:
        yield running


@pytest.fixture
def client(make_app: MakeApp, postgres: Postgres, proxy: CountingProxy) -> FlaskClient:
    """A client of an application that reaches its database through the proxy."""
    make_app()
    url = os.environ["DATABASE_URL"]
    behind = url.replace(f":{postgres.port}/", f":{proxy.port}/")
    return make_app(DATABASE_URL=behind).test_client()


@pytest.mark.parametrize("blocked", [False, True], ids=["served", "denied"])
def test_a_known_device_costs_one_round_trip_and_no_transaction(
    client: FlaskClient,
    proxy: CountingProxy,
    administrator: Administrator,
    token: str,
    blocked: bool,
) -> None:
    headers = as_device(token, model="iPhone 16 Pro")
    client.get(NOWHERE, headers=headers)
    if blocked:
        administrator.block()
    before, in_transaction = proxy.round_trips, proxy.in_transaction
    for _ in range(20):
        answer = client.post(NOWHERE, headers=headers)
        assert answer.status_code == (403 if blocked else 404)
    assert proxy.round_trips - before == 20
    assert proxy.in_transaction == in_transaction
