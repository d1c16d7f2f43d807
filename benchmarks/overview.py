"""The overview: every figure against an independent count, the time of a count, and of the page."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any

from flask import Flask
from sqlalchemy import select

from apidevices import clock, listing, overview, snapshots
from apidevices.database import Database
from apidevices.listing import Filters
from apidevices.models import Device, DeviceActivity, FleetDay
from apidevices.overview import SPREAD_DAYS, Counted, Group
from benchmarks import goals
from benchmarks.context import Run, check, show_progress
from benchmarks.databases import Backend, application, state_of
from benchmarks.lists import HEADERS, signed_in_client
from benchmarks.report import Table, Times

PAGE = "/settings/api-devices/overview"

FIRST_VISIT = 120.0
"""Seconds to wait for the first figures."""


def measure(run: Run) -> Table:
    """Compare all figures with an independent count, then time counts and pages."""
    size = run.pick(1_000_000, 10_000)
    table = Table(
        f"overview: {size:,} devices: times in milliseconds, median / 95th percentile",
        notes=[
            "“page”: the whole response to a signed-in user, compressed. “page while counting”:"
            " while another thread of the same process counts without a break.",
            "“linked list”: listing.page for each link of the overview.",
            f"A large fleet is counted again after {snapshots.SHARE} times as long as the latest"
            " count took, if somebody opens the page.",
            "All figures equal those of a loop in Python over all devices, and so does the number"
            " of devices in each linked list.",
        ],
    )
    for backend in run.backends:
        show_progress(f"{backend.name}: {size:,} devices, inserting")
        url = backend.shared_database(size)
        show_progress(f"{backend.name}: {size:,} devices, measuring")
        with application(url, run.folder) as app:
            add_rows(run, backend, app, table)
    return table


def add_rows(run: Run, backend: Backend, app: Flask, table: Table) -> None:
    """Measure one database."""
    state = state_of(app)
    _fill_days(state.db)
    client = signed_in_client(app)

    def page() -> None:
        response = client.get(PAGE, headers=HEADERS)
        check(response.status_code == 200, f"the page returned {response.status}")

    started = time.perf_counter()
    page()
    first_visit = (time.perf_counter() - started) * 1e3
    while (counted := overview.latest(state.overview, clock.now())) is None:
        check(time.perf_counter() < started + FIRST_VISIT, "the figures were not counted in time")
        time.sleep(0.1)
    filled = (time.perf_counter() - started) * 1e3
    compare(state.db, counted)

    def count() -> None:
        overview.count(state.overview, clock.now())

    links = list(_links(counted))
    times = {
        "first visit ever": Times.of([first_visit]),
        "first visit ever, until filled in": Times.of([filled]),
        "count": _timed(count, run.rounds(10)),
        "page": _timed(page, run.rounds(300, 20)),
    }
    with _repeated(count):
        times["page while counting"] = _timed(page, run.rounds(300, 20))
    lists = [
        _timed(partial(listing.page, state.db, filters), run.rounds(5)) for filters, _ in links
    ]
    times["slowest linked list"] = max(lists, key=lambda each: each.p95)
    for name, each in times.items():
        table.rows.append({"database": backend.name, "time of": name, "ms": each})
    table.goal_results.append(goals.OVERVIEW_TIME.evaluate(backend.name, times["page"].p95))


def compare(db: Database, counted: Counted) -> None:
    """Check every figure against a loop over all devices, and each linked list."""
    now, found = counted.taken_at, counted.overview
    loop = _Loop(now)
    columns: list[Any] = [
        *(Device.application, Device.application_version, Device.os, Device.os_version),
        *(Device.first_seen_at, Device.blocked_at, DeviceActivity.last_active_at),
        *(DeviceActivity.last_upload_at, DeviceActivity.last_denied_at),
    ]
    query = select(*columns).join(DeviceActivity, DeviceActivity.device_id == Device.id)
    with db.snapshot() as session:
        for row in session.execute(query, execution_options={"yield_per": 10_000}):
            loop.add(*row)
    for name, figure in _figures(counted).items():
        check(figure == loop.counts[name], f"{name}: {figure}, counted {loop.counts[name]}")
    for counts, groups, others in (
        (loop.applications, found.applications, found.other_applications),
        (loop.systems, found.systems, found.other_systems),
    ):
        total = sum(group.devices for group in groups) + others.devices
        check(total == counts.total(), f"{total} devices have versions, counted {counts.total()}")
        for group in groups:
            for version in group.versions:
                key = (group.name and group.name.casefold(), version.version)
                check(counts[key] == version.devices, f"{key}: {version.devices}")
    for filters, number in _links(counted):
        listed = listing.count(db, filters, now=now)
        check(listed == number, f"{filters.query}: {number}, the list has {listed}")


class _Loop:
    """Counts devices one by one."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self.counts: Counter[str] = Counter()
        self.applications: Counter[Any] = Counter()
        self.systems: Counter[Any] = Counter()

    def add(
        self,
        application: str | None,
        application_version: str | None,
        os: str | None,
        os_version: str | None,
        first_seen_at: datetime,
        blocked_at: datetime | None,
        last_active_at: datetime,
        last_upload_at: datetime | None,
        last_denied_at: datetime | None,
    ) -> None:
        """Count a device."""
        quiet = self._now - last_active_at
        named = {"total": True, "blocked": blocked_at is not None}
        named["denied"] = bool(blocked_at and last_denied_at and last_denied_at >= blocked_at)
        for days in (1, 7, 30):
            period = timedelta(days=days)
            named[f"active_{days}"] = quiet <= period
            named[f"new_{days}"] = self._now - first_seen_at < period
            named[f"gone_{days}"] = timedelta(days=30) < quiet <= timedelta(days=30) + period
        week = timedelta(days=7)
        has_recent = last_upload_at is not None and self._now - last_upload_at <= week
        named["no_upload"] = quiet <= week and not has_recent
        named["stopped_uploading"] = named["no_upload"] and last_upload_at is not None
        self.counts.update(name for name, is_counted in named.items() if is_counted)
        if quiet <= timedelta(days=SPREAD_DAYS):
            self.applications[application and application.casefold(), application_version] += 1
            self.systems[os and os.casefold(), os_version] += 1


def _figures(counted: Counted) -> dict[str, int]:
    found = counted.overview
    names = ("total", "archived", "blocked", "denied", "no_upload", "stopped_uploading")
    figures = {name: getattr(found, name) for name in names}
    for period in found.periods:
        for name in ("active", "new", "gone"):
            figures[f"{name}_{period.days}"] = getattr(period, name)
    return figures


def _links(counted: Counted) -> Iterator[tuple[Filters, int]]:
    """Yield the filters of the lists that the overview leads to, and its figures."""
    named = overview.filters(counted.taken_at)
    for name, number in _figures(counted).items():
        yield named[name], number
    yield from chain(
        _group_links(counted.overview.applications, "application"),
        _group_links(counted.overview.systems, "os"),
    )


def _group_links(groups: list[Group], field: str) -> Iterator[tuple[Filters, int]]:
    for group in groups:
        given = {field: group.name, "active_days": SPREAD_DAYS}
        yield Filters.model_validate(given), group.devices
        for each in group.versions:
            version = {f"{field}_version": each.version}
            yield Filters.model_validate({**given, **version}), each.devices


def _fill_days(db: Database) -> None:
    """Insert uploads of the days that the page shows."""
    today = clock.now().date()
    days = [
        {"day": today - timedelta(days=ago), "requests": 9_000, "uploads": 50 * (ago % 7 + 1)}
        for ago in range(90)
    ]
    with db.write() as session:
        session.execute(db.insert(FleetDay).values(days).on_conflict_do_nothing())


def _timed(call: Callable[[], object], rounds: range) -> Times:
    durations = []
    for _ in rounds:
        started = time.perf_counter()
        call()
        durations.append((time.perf_counter() - started) * 1e3)
    return Times.of(durations)


@contextmanager
def _repeated(call: Callable[[], None]) -> Iterator[None]:
    """Call a function in a thread, again and again."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            call()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
