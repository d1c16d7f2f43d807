"""Part 3: the list, its filters and its search, as the database grows to a million devices."""

import secrets
import time
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import cast

from flask import Flask
from flask.testing import FlaskClient
from flask_login import FlaskLoginClient
from sqlalchemy import func, select

from apidevices import clock, listing
from apidevices.database import Database
from apidevices.listing import Cursor, Filters, Page
from apidevices.models import DeviceActivity
from apidevices.standalone import accounts
from benchmarks import fleet, goals
from benchmarks.context import Run, check, say
from benchmarks.databases import DAYS, Backend, application, state_of
from benchmarks.report import Table, Times

PAGE = "/settings/api-devices"
HEADERS = {"HX-Request": "true", "Accept-Encoding": "gzip, deflate, br, zstd"}  # as a browser

MILLION = 1_000_000

SECONDS = 8.0
"""A case that is slow is asked less often once it has taken so long, but ``LEAST`` times."""
LEAST = 5

_EMAIL = "benchmark@example.org"

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

_FOUND = {
    "search: rare": len(fleet.RARE),
    "one character: rare": len(fleet.RARE),
    "search: none": 0,
    "one character: none": 0,
    "whole identifier": 1,
}


def measure(run: Run) -> Table:
    """Time each kind of page, at each size, on each database."""
    sizes = run.pick((1_000, 10_000, 100_000, MILLION), (1_000, 10_000))
    table = Table(
        "3. List, search and filters: milliseconds of the server, median / 95th percentile",
        notes=[
            "“query” is listing.page, as the page asks; “page” is the whole answer to HTMX, signed"
            " in and compressed.",
            f"Each was asked for in each round, but {LEAST} times only if that took over"
            f" {SECONDS:.0f} seconds.",
            f"15% of the devices are named, 2% blocked; times are spread over {DAYS} days.",
        ],
    )
    for backend in run.backends:
        found: dict[tuple[str, str], dict[int, Times]] = defaultdict(dict)
        for size in sizes:
            say(f"{backend.name}: {size:,} devices, filling")
            url = backend.grown(size)
            say(f"{backend.name}: {size:,} devices, asking")
            with application(url, run.folder) as app:
                for (case, what), times in _time(run, app).items():
                    found[case, what][size] = times
        _tell(backend, found, table)
    return table


def _tell(
    backend: Backend, found: Mapping[tuple[str, str], Mapping[int, Times]], table: Table
) -> None:
    growth: dict[str, float] = {}
    slowest: dict[str, float] = {}
    for (case, what), by_size in found.items():
        columns = {f"{size:,}": times for size, times in by_size.items()}
        row = {"database": backend.name, "case": case, "time of": what, **columns}
        table.rows.append(row)
        if MILLION in by_size:
            row["p95 1M/10k"] = grown = by_size[MILLION].p95 / by_size[10_000].p95
            if what == "page":
                slowest[case], growth[case] = by_size[MILLION].p95, grown
    for goal, values in ((goals.PAGE, slowest), (goals.PAGE_GROWTH, growth)):
        if values:
            worst = max(values, key=values.__getitem__)
            table.verdicts.append(goal.judge(f"{backend.name}, {worst}", values[worst]))


def _time(run: Run, app: Flask) -> Mapping[tuple[str, str], Times]:
    """Time each case, in interleaved rounds; (case, "query" or "page") -> milliseconds."""
    db, client = state_of(app).db, _signed_in(app)
    durations: dict[tuple[str, str], list[float]] = defaultdict(list)
    cases = {**_places(db), **SEARCHES}
    for case, parameters in cases.items():
        _check_answers(db, client, case, parameters)  # and a warm-up
    for _ in run.rounds(50, quick=10):
        for case, parameters in cases.items():
            for what, ask in (
                ("query", partial(_query, db, parameters)),
                ("page", partial(_page, client, parameters)),
            ):
                spent = durations[case, what]
                if sum(spent) > SECONDS * 1e3 and len(spent) >= LEAST:
                    continue
                started = time.perf_counter()
                ask()
                spent.append((time.perf_counter() - started) * 1e3)
    return {key: Times.of(spent) for key, spent in durations.items()}


def _places(db: Database) -> dict[str, Parameters]:
    """Return the pages of the whole list, from its beginning to its end."""
    first = listing.page(db, Filters())
    with db.read() as session:
        size = session.scalar(select(func.count()).select_from(DeviceActivity)) or 0
        places = select(DeviceActivity.last_activity_at, DeviceActivity.device_id).order_by(
            DeviceActivity.last_activity_at.desc(), DeviceActivity.device_id.desc()
        )
        middle, end = (
            session.execute(places.offset(offset).limit(1)).one()
            for offset in (size // 2, size - listing.PAGE_SIZE)
        )
    return {
        "first page": {},
        "second page": {"cursor": str(first.older)},
        "page in the middle": {"cursor": str(Cursor("older", *middle))},
        "page at the end": {"cursor": str(Cursor("older", *end))},
        "back from the middle": {"cursor": str(Cursor("newer", *middle))},
        "hide blocked, middle": {"status": "active", "cursor": str(Cursor("older", *middle))},
        "search: hit, middle": {"name": "iphone", "cursor": str(Cursor("older", *middle))},
    }


def _query(db: Database, parameters: Parameters) -> Page:
    """Ask what a page asks."""
    cursor = parameters.get("cursor")
    status = cast(listing.Status, parameters.get("status", "all"))
    filters = Filters(parameters.get("name", ""), status)
    return listing.page(db, filters, Cursor.parse(cursor) if cursor else None)


def _page(client: FlaskClient, parameters: Parameters) -> None:
    answer = client.get(PAGE, query_string=parameters, headers=HEADERS)
    check(answer.status_code == 200, f"the page answered {answer.status}")


def _check_answers(db: Database, client: FlaskClient, case: str, parameters: Parameters) -> None:
    """Check that a case finds what it is meant to find, on the page as well."""
    page = _query(db, parameters)
    count = page.count.number
    check(count == _FOUND.get(case, count), f"{case}: {count} devices found")
    check(bool(page.devices) == bool(count), f"{case}: {len(page.devices)} devices on the page")
    check(count or case in _FOUND, f"{case}: nothing found")
    shown = client.get(PAGE, query_string=parameters, headers={"HX-Request": "true"}).text
    rows = shown.count('<tr id="device-')
    check(rows == len(page.devices), f"{case}: {rows} rows of {len(page.devices)}")


def _signed_in(app: Flask) -> FlaskClient:
    """Return a client with a session of an administrator."""
    app.test_client_class = FlaskLoginClient
    datastore = app.extensions["security"].datastore
    with app.app_context():
        if not datastore.find_user(email=_EMAIL):
            password, now = secrets.token_urlsafe(), clock.now()
            accounts.create(state_of(app).db, _EMAIL, password, actor="benchmark", now=now)
        user = datastore.find_user(email=_EMAIL)
        return app.test_client(user=user)
