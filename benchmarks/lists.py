"""The device list, its filters and its search, with up to a million devices."""

import re
import secrets
import time
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import cast

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from apidevices import clock, listing
from apidevices.database import Database
from apidevices.listing import Cursor, Filters, Page
from apidevices.models import DeviceActivity
from apidevices.standalone import accounts
from benchmarks import fleet, goals
from benchmarks.context import Run, check, show_progress
from benchmarks.databases import Backend, application, state_of
from benchmarks.report import Table, Times
from benchmarks.rows import DAYS

PAGE = "/settings/api-devices"
# The headers that browsers send.
HEADERS = {"HX-Request": "true", "Accept-Encoding": "gzip, deflate, br, zstd"}

MILLION = 1_000_000

TIME_BUDGET = 8.0
"""Seconds per case. A case over its budget gets no more samples once it has ``MIN_SAMPLES``."""
MIN_SAMPLES = 5

_EMAIL = "benchmark@example.org"
_CSRF_TOKEN = re.compile('name="csrf_token" value="([^"]+)"')

Parameters = Mapping[str, str]

SEARCHES: dict[str, Parameters] = {
    "only blocked": {"status": "blocked"},
    "hide blocked": {"status": "active"},
    "search: hit": {"name": "iphone"},
    "search: rare": {"name": "żaneta"},
    "search: none": {"name": "no such device"},
    "one character: common": {"name": "a"},
    "one character: rare": {"name": "ż"},
    "one character: none": {"name": "€"},
    "two characters": {"name": "ip"},
    "not Latin": {"name": "касса"},
    "search, only blocked": {"name": "iphone", "status": "blocked"},
    "whole identifier": {"name": fleet.device(500).identifier},
}

_EXPECTED_COUNTS = {
    "search: rare": len(fleet.RARE_NAMES),
    "one character: rare": len(fleet.RARE_NAMES),
    "search: none": 0,
    "one character: none": 0,
    "whole identifier": 1,
}


def measure(run: Run) -> Table:
    """Time each page and search for each database size."""
    sizes = run.pick((1_000, 10_000, 100_000, MILLION), (1_000, 10_000))
    table = Table(
        "lists: list, search and filters: server time in milliseconds, median / 95th percentile",
        notes=[
            "“query” is the page's call to listing.page. “page” is the whole response to HTMX,"
            " compressed, for a signed-in user.",
            f"One sample per round. Cases that take over {TIME_BUDGET:.0f} seconds in total have"
            f" fewer samples, at least {MIN_SAMPLES}.",
            f"15% of the devices have names, 2% are blocked. Times are spread over {DAYS} days.",
        ],
    )
    for backend in run.backends:
        results: dict[tuple[str, str], dict[int, Times]] = defaultdict(dict)
        for size in sizes:
            show_progress(f"{backend.name}: {size:,} devices, inserting")
            url = backend.shared_database(size)
            show_progress(f"{backend.name}: {size:,} devices, measuring")
            with application(url, run.folder) as app:
                for (case, what), times in _measure(run, app).items():
                    results[case, what][size] = times
        _add_rows(backend, results, table)
    return table


def _add_rows(
    backend: Backend, results: Mapping[tuple[str, str], Mapping[int, Times]], table: Table
) -> None:
    growth: dict[str, float] = {}
    slowest: dict[str, float] = {}
    for (case, what), by_size in results.items():
        columns = {f"{size:,}": times for size, times in by_size.items()}
        row = {"database": backend.name, "case": case, "time of": what, **columns}
        table.rows.append(row)
        if MILLION in by_size:
            row["p95 1M/10k"] = ratio = by_size[MILLION].p95 / by_size[10_000].p95
            if what == "page":
                slowest[case], growth[case] = by_size[MILLION].p95, ratio
    for goal, values in ((goals.PAGE_TIME, slowest), (goals.PAGE_GROWTH, growth)):
        if values:
            worst = max(values, key=values.__getitem__)
            table.goal_results.append(goal.evaluate(f"{backend.name}, {worst}", values[worst]))


def _measure(run: Run, app: Flask) -> Mapping[tuple[str, str], Times]:
    """Time all cases in interleaved rounds. Return (case, "query" or "page") -> milliseconds."""
    db, client = state_of(app).db, signed_in_client(app)
    durations: dict[tuple[str, str], list[float]] = defaultdict(list)
    cases = {**_positions(db), **SEARCHES}
    for case, parameters in cases.items():
        _check_results(db, client, case, parameters)  # also the warm-up
    for _ in run.rounds(50, quick=10):
        for case, parameters in cases.items():
            for what, call in (
                ("query", partial(_query, db, parameters)),
                ("page", partial(_page, client, parameters)),
            ):
                spent = durations[case, what]
                if sum(spent) > TIME_BUDGET * 1e3 and len(spent) >= MIN_SAMPLES:
                    continue
                started = time.perf_counter()
                call()
                spent.append((time.perf_counter() - started) * 1e3)
    return {key: Times.of(spent) for key, spent in durations.items()}


def _positions(db: Database) -> dict[str, Parameters]:
    """Return the parameters of pages at different positions in the list."""
    first = listing.page(db, Filters())
    with db.read() as session:
        size = session.scalar(select(func.count()).select_from(DeviceActivity)) or 0
        positions = select(DeviceActivity.last_activity_at, DeviceActivity.device_id).order_by(
            DeviceActivity.last_activity_at.desc(), DeviceActivity.device_id.desc()
        )
        middle, end = (
            session.execute(positions.offset(offset).limit(1)).one()
            for offset in (size // 2, size - listing.PAGE_SIZE)
        )
    return {
        "first page": {},
        "second page": {"cursor": str(first.older)},
        "middle page": {"cursor": str(Cursor("older", "activity", *middle))},
        "last page": {"cursor": str(Cursor("older", "activity", *end))},
        "backwards from the middle": {"cursor": str(Cursor("newer", "activity", *middle))},
        "hide blocked, middle": {
            "status": "active",
            "cursor": str(Cursor("older", "activity", *middle)),
        },
        "search: hit, middle": {
            "name": "iphone",
            "cursor": str(Cursor("older", "activity", *middle)),
        },
    }


def _query(db: Database, parameters: Parameters) -> Page:
    """Run the query of a page."""
    cursor = parameters.get("cursor")
    status = cast(listing.Status, parameters.get("status", "all"))
    filters = Filters(name=parameters.get("name", ""), status=status)
    return listing.page(db, filters, Cursor.parse(cursor) if cursor else None)


def _page(client: FlaskClient, parameters: Parameters) -> None:
    response = client.get(PAGE, query_string=parameters, headers=HEADERS)
    check(response.status_code == 200, f"the page returned {response.status}")


def _check_results(db: Database, client: FlaskClient, case: str, parameters: Parameters) -> None:
    """Check that the query and the page of a case return the expected devices."""
    page = _query(db, parameters)
    count = page.count.number
    check(count == _EXPECTED_COUNTS.get(case, count), f"{case}: {count} devices found")
    check(bool(page.devices) == bool(count), f"{case}: {len(page.devices)} devices on the page")
    check(count or case in _EXPECTED_COUNTS, f"{case}: no devices found")
    html = client.get(PAGE, query_string=parameters, headers={"HX-Request": "true"}).text
    rows = html.count('<tr id="device-')
    check(rows == len(page.devices), f"{case}: the page has {rows} rows, not {len(page.devices)}")


def signed_in_client(app: Flask) -> FlaskClient:
    """Return a test client that has signed in as an administrator."""
    password, client = secrets.token_urlsafe(), app.test_client()
    with app.app_context():
        db, now = state_of(app).db, clock.now()
        if app.extensions["security"].datastore.find_user(email=_EMAIL):
            accounts.set_password(db, _EMAIL, password, actor="benchmark", now=now)
        else:
            accounts.create(db, _EMAIL, password, actor="benchmark", now=now)
    found = _CSRF_TOKEN.search(client.get("/login").text)
    check(bool(found), "the sign-in page has no form")
    token = found[1] if found else ""
    form = {"email": _EMAIL, "password": password, "csrf_token": token}
    response = client.post("/login", data=form)
    check(response.status_code in (302, 303), f"signing in returned {response.status}")
    return client
