"""A short torture of each database, and how the death of PostgreSQL looks from outside."""

from pathlib import Path

import pytest

from tests.conftest import DEVICE, as_device
from tests.postgres import Postgres
from tests.real_server import RealServer, wait_until
from tests.torture.run import Plan, torture


@pytest.mark.parametrize(
    "plan",
    [
        Plan("sqlite", kills=5, pause=1, seed=5),
        Plan("postgresql", kills=4, postmaster_kills=1, pause=1, seed=5),
    ],
    ids=lambda plan: plan.database,
)
def test_kills_take_nothing_that_was_acknowledged(plan: Plan, tmp_path: Path) -> None:
    report = torture(plan, tmp_path)
    assert report.failures == [], report.rows


def test_postgresql_dies_and_comes_back(tmp_path: Path) -> None:
    with Postgres() as postgres:
        variables = {"DATABASE_URL": postgres.url()}
        with RealServer(tmp_path / "instance", variables=variables) as server:
            headers = as_device(server.create_token())

            def status() -> int:
                answer = server.call("GET", DEVICE, headers)
                assert answer.status == 200 or "Retry-After" in answer.headers
                return answer.status

            assert status() == 200
            postgres.kill()
            wait_until(lambda: status() == 503)
            assert {status() for _ in range(20)} == {503}
            workers = server.workers
            postgres.start()
            assert {status() for _ in range(20)} == {200}
            assert server.workers == workers
