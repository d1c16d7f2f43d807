"""A short torture test of each database; ``make torture`` runs a long one."""

from pathlib import Path

import pytest

from tests.torture.run import Plan, torture


@pytest.mark.parametrize(
    "plan",
    [
        Plan("sqlite", kills=3, max_pause=1, seed=5),
        Plan("postgresql", kills=2, postmaster_kills=1, max_pause=1, seed=5),
    ],
    ids=lambda plan: plan.database,
)
def test_killing_processes_under_load_loses_no_acknowledged_write(
    plan: Plan, tmp_path: Path
) -> None:
    report = torture(plan, tmp_path)
    assert report.failures == [], report.rows
    assert report.ledger.acknowledged["registrations"] > 0
    assert report.ledger.acknowledged["uploads"] > 0
