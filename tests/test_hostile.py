"""A short version of the attacks that need no scanner; ``make hostile`` runs all of them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.hostile.run import run_short
from tests.hostile.tally import table


@pytest.mark.database("sqlite")
def test_nothing_gets_through(tmp_path: Path) -> None:
    # In a thread of its own: another test may use Playwright in this one.
    with ThreadPoolExecutor(1) as thread:
        tallies = thread.submit(run_short, tmp_path).result()
    assert [failure for tally in tallies for failure in tally.failures] == [], table(tallies)
    for tally in tallies:
        assert tally.requests > 100, table(tallies)
        assert (tally.injected, tally.accepted, tally.counts["other 5xx"]) == (0, 0, 0)
