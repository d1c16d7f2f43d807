"""``/metrics``: who may read it, and what it says."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from apidevices import clock, tokens
from apidevices.lookup import LookupFailed
from apidevices.standalone import metrics
from apidevices.standalone.process_metrics import ProcessMetrics, SharedTable
from tests.conftest import DEVICE, Administrator, NewToken, as_device, state_of
from tests.monitoring.conftest import Samples
from tests.monitoring.promtool import run_promtool

Get = Callable[[], TestResponse]
Scrape = Callable[[], Samples]


@pytest.mark.parametrize(
    ("scopes", "status", "code"),
    [
        (None, 401, "token_missing"),
        (("devices:read", "devices:write"), 403, "insufficient_scope"),
        (("metrics:read",), 200, None),
    ],
)
def test_metrics_need_a_token_with_their_scope(
    client: FlaskClient,
    new_token: NewToken,
    scopes: tuple[str, ...] | None,
    status: int,
    code: str | None,
) -> None:
    headers = {} if scopes is None else as_device(new_token(*scopes), None)
    response = client.get("/metrics", headers=headers)
    assert response.status_code == status
    if code is not None:
        assert response.json["code"] == code  # type: ignore[index]  # a problem
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_revoked_token_no_longer_reads_metrics(app: Flask, get_metrics: Get) -> None:
    assert get_metrics().status_code == 200
    db = state_of(app).db
    tokens.revoke(db, tokens.find(db, "prometheus").id, actor="ann", now=clock.now())
    assert get_metrics().status_code == 401


def test_promtool_accepts_the_metrics(
    get_metrics: Get, client: FlaskClient, token: str, app: Flask
) -> None:
    client.get(DEVICE, headers=as_device(token))
    state_of(app).activity.flush()
    assert run_promtool("check", "metrics", text=get_metrics().text) == ""


def test_no_device_or_token_is_named(
    get_metrics: Get, client: FlaskClient, new_token: NewToken
) -> None:
    client.get(DEVICE, headers=as_device(new_token(name="secret-shop"), "secret-phone"))
    text = get_metrics().text
    assert "apidevices_registrations_total 1.0" in text
    assert "secret" not in text


def test_scrape_is_not_tracked(get_metrics: Get, scrape: Scrape, app: Flask) -> None:
    get_metrics()
    state_of(app).activity.flush()
    samples = scrape()
    assert samples['apidevices_devices{status="active"}'] == 0
    assert samples["apidevices_check_duration_seconds_count"] == 0
    assert sum(value for name, value in samples.items() if "requests_total" in name) == 0


def test_scrape_counts_as_use_of_its_token(get_metrics: Get, app: Flask) -> None:
    get_metrics()
    state_of(app).activity.flush()
    assert tokens.find(state_of(app).db, "prometheus").last_used_at is not None


def test_devices_are_counted_by_status(
    client: FlaskClient, token: str, administrator: Administrator, scrape: Scrape
) -> None:
    for number in range(3):
        client.get(DEVICE, headers=as_device(token, f"phone-{number}"))
    administrator.block("phone-1")
    samples = scrape()
    assert samples['apidevices_devices{status="active"}'] == 2
    assert samples['apidevices_devices{status="blocked"}'] == 1


def test_devices_are_not_counted_on_every_scrape(
    client: FlaskClient, token: str, scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    scrape()
    client.get(DEVICE, headers=as_device(token))
    assert scrape()['apidevices_devices{status="active"}'] == 0
    monkeypatch.setattr(metrics, "COUNT_AGE", 0)
    assert scrape()['apidevices_devices{status="active"}'] == 1


def test_disk_has_free_space(scrape: Scrape) -> None:
    samples = scrape()
    assert 0 < samples["apidevices_disk_free_bytes"] < samples["apidevices_disk_size_bytes"]


def make_unavailable(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise LookupFailed

    monkeypatch.setattr(state_of(app).api_tracker.lookup, "find", fail)


def test_known_token_reads_metrics_while_the_database_is_unavailable(
    app: Flask, scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scrape()["apidevices_database_available"] == 1
    make_unavailable(app, monkeypatch)
    samples = scrape()
    assert samples["apidevices_database_available"] == 0
    assert samples["apidevices_database_errors_total"] == 1
    assert 'apidevices_devices{status="active"}' not in samples


def test_unknown_token_is_denied_while_the_database_is_unavailable(
    app: Flask, get_metrics: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_unavailable(app, monkeypatch)
    assert get_metrics().status_code == 503


def test_known_token_is_denied_after_an_hour_without_the_database(
    app: Flask, get_metrics: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_metrics()
    make_unavailable(app, monkeypatch)
    monkeypatch.setattr(metrics, "OUTAGE_GRACE", 0)
    assert get_metrics().status_code == 503


def test_rejected_token_is_forgotten(
    app: Flask, get_metrics: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_metrics()
    db = state_of(app).db
    tokens.revoke(db, tokens.find(db, "prometheus").id, actor="ann", now=clock.now())
    assert get_metrics().status_code == 401
    make_unavailable(app, monkeypatch)
    assert get_metrics().status_code == 503


def test_new_worker_goes_on_with_the_numbers_of_a_dead_one(app: Flask) -> None:
    state, table = state_of(app), SharedTable()
    for _ in range(3):
        worker = ProcessMetrics(state)
        worker.share(table, 0)
        state.metrics._reset()
        state.metrics.count_request("allowed")
        worker.publish()
    other = ProcessMetrics(state)
    other.share(table, 1)
    assert other.totals().values[0] == 4


def test_dead_worker_leaves_its_counters_but_no_gauges(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, table = state_of(app), SharedTable()
    dead, alive = ProcessMetrics(state), ProcessMetrics(state)
    dead.share(table, 0)
    alive.share(table, 1)
    state.metrics.count_request("allowed")
    state.activity.record_token_use(1, clock.now())
    dead.publish()
    totals = alive.totals()
    assert (totals.workers, totals.load.entries, totals.values[0]) == (2, 2, 2)
    table.row(0)[-4] -= 60  # the time of its last update
    totals = alive.totals()
    assert (totals.workers, totals.load.entries, totals.values[0]) == (1, 1, 2)
