"""A short torture of each database."""

from pathlib import Path

import pytest

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
