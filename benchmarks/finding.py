"""Every filter of the device list, every pair of filters and every order."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import combinations
from typing import Any, get_args

from apidevices import clock, listing
from apidevices.database import Database
from apidevices.listing import Filters, Sort
from benchmarks import goals
from benchmarks.context import Run, check, show_progress
from benchmarks.databases import application, state_of
from benchmarks.report import Table, Times
from benchmarks.rows import DAYS

SHOWN_PAIRS = 10
"""The slowest pairs that the table shows."""

TIME_BUDGET = 3.0
"""Seconds per case. A case over its budget gets no more samples once it has ``MIN_SAMPLES``."""
MIN_SAMPLES = 3

FILTERS: Mapping[str, Mapping[str, Any]] = {
    "name: common": {"name": "iphone"},
    "name: rare": {"name": "żaneta"},
    "active": {"status": "active"},
    "blocked": {"status": "blocked"},
    "application": {"application": "BOX OFFICE"},
    "application_version": {"application_version": "6.0.1"},
    "version_below": {"application": "box office", "version_below": "6.0.1"},
    "os": {"os": "android"},
    "os: other": {"os": "windows"},
    "os_version": {"os_version": "26.1"},
    "manufacturer": {"manufacturer": "apple"},
    "model": {"model": "TC58"},
    "tag: common": {"tag": ("main entrance",)},
    "tag: rare": {"tag": ("spare",)},
    "two tags": {"tag": ("main entrance", "foyer")},
    "token: of all devices": {"token": 1},
    "registered_after: most": {"registered_after": timedelta(days=170)},
    "registered_after: few": {"registered_after": timedelta(days=91)},
    "active_days: most": {"active_days": 60},
    "active_days: few": {"active_days": 1},
    "inactive_days: most": {"inactive_days": 5},
    "inactive_days: few": {"inactive_days": DAYS - 1},
    "no_upload_days": {"no_upload_days": 30},
    "uploaded": {"uploaded": True},
    "unnamed": {"unnamed": True},
    "denied": {"denied": True},
}


def measure(run: Run) -> Table:
    """Time the first page for each filter, pair and order."""
    size = run.pick(1_000_000, 10_000)
    table = Table(
        f"finding: first page with {size:,} devices: server time in milliseconds, median / 95th"
        " percentile",
        notes=[
            "The time of listing.page, without rendering. One sample per round.",
            f"Of the pairs, the table has the {SHOWN_PAIRS} slowest.",
        ],
    )
    for backend in run.backends:
        show_progress(f"{backend.name}: {size:,} devices, inserting")
        url = backend.shared_database(size)
        show_progress(f"{backend.name}: {size:,} devices, measuring")
        with application(url, run.folder) as app:
            times = _measure(run, state_of(app).db)
        pairs = sorted(
            (case for case in times if " + " in case),
            key=lambda case: times[case].p95,
            reverse=True,
        )
        for case in [case for case in times if " + " not in case] + pairs[:SHOWN_PAIRS]:
            table.rows.append({"database": backend.name, "case": case, "time": times[case]})
        slow = [case for case in times if times[case].p95 > goals.FIND_TIME.limit]
        table.notes.append(
            f"{backend.name}: {len(slow)} of {len(times)} cases over {goals.FIND_TIME.limit:g} ms."
        )
        worst = max(times, key=lambda case: times[case].p95)
        table.goal_results.append(
            goals.FIND_TIME.evaluate(f"{backend.name}, {worst}", times[worst].p95)
        )
    return table


def _measure(run: Run, db: Database) -> Mapping[str, Times]:
    """Time all cases in interleaved rounds."""
    durations: dict[str, list[float]] = defaultdict(list)
    cases = dict(_cases())
    for case, (filters, sort) in cases.items():
        page = listing.page(db, filters, sort=sort)  # also the warm-up
        check(bool(page.devices) == bool(page.count.number), f"{case}: wrong count")
    for _ in run.rounds(20, quick=2):
        for case, (filters, sort) in cases.items():
            spent = durations[case]
            if sum(spent) > TIME_BUDGET * 1e3 and len(spent) >= MIN_SAMPLES:
                continue
            started = time.perf_counter()
            listing.page(db, filters, sort=sort)
            spent.append((time.perf_counter() - started) * 1e3)
    return {case: Times.of(spent) for case, spent in durations.items()}


def _cases() -> Iterator[tuple[str, tuple[Filters, Sort]]]:
    now = clock.now()
    for sort in get_args(Sort):
        yield f"sort: {sort}", (Filters(), sort)
    for name, values in FILTERS.items():
        yield name, (_filters(values, now), "activity")
        yield f"{name}, sort: name", (_filters(values, now), "name")
    for (first, one), (second, other) in combinations(FILTERS.items(), 2):
        if not one.keys() & other.keys():
            yield f"{first} + {second}", (_filters({**one, **other}, now), "activity")


def _filters(values: Mapping[str, Any], now: Any) -> Filters:
    return Filters.model_validate(
        {
            name: now - value if isinstance(value, timedelta) else value
            for name, value in values.items()
        }
    )
