"""Each request, registration and flush of a process is counted once."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import metrics
from apidevices.activity import ActivityBuffer
from apidevices.gate import AsyncGate, Gate
from apidevices.metrics import CHECK_SECONDS, FLUSH_DELAY, FLUSH_ROWS, OUTCOMES, Histogram, Metrics
from harness.databases import Databases
from tests.conftest import (
    DEVICE,
    NOON,
    Administrator,
    FakeClock,
    MakeApp,
    NewToken,
    as_device,
    state_of,
)
from tests.event_loops import run_async

Respond = Callable[[Flask, dict[str, str]], int]


def total(app: Flask, histogram: Histogram) -> float:
    """Return the number of observations of a histogram."""
    values = state_of(app).metrics.values()
    return sum(values[histogram.start : histogram.end - 1])


def outcomes(app: Flask) -> dict[str, float]:
    """Return the outcomes that have occurred, with their numbers."""
    values = state_of(app).metrics.values()
    return {outcome: number for outcome, number in zip(OUTCOMES, values, strict=False) if number}


def event(app: Flask, counter: int) -> float:
    return state_of(app).metrics.values()[counter]


def ask_sync(app: Flask, headers: dict[str, str]) -> int:
    return app.test_client().get("/verify", headers=headers).status_code


def ask_async(app: Flask, headers: dict[str, str]) -> int:
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}

    async def ask(executor: ThreadPoolExecutor) -> int:
        gate = AsyncGate(app, executor)
        try:
            return (await gate.respond_async({"REQUEST_METHOD": "GET", **environ})).status
        finally:
            gate.close()

    with ThreadPoolExecutor(1) as executor:
        return run_async(ask(executor))


@pytest.fixture(params=[ask_sync, ask_async])
def ask(request: pytest.FixtureRequest) -> Respond:
    """A gate, in a thread or in an event loop."""
    respond: Respond = request.param
    return respond


def test_gate_counts_requests_by_outcome(
    app: Flask, ask: Respond, token: str, administrator: Administrator
) -> None:
    assert ask(app, as_device(token)) == 200
    assert ask(app, as_device(token)) == 200
    assert ask(app, {}) == 401
    assert ask(app, as_device("x")) == 401
    assert ask(app, as_device(token, "a,b")) == 400
    assert outcomes(app) == {
        "allowed": 2,
        "token_missing": 1,
        "token_invalid": 1,
        "device_id_invalid": 1,
    }
    administrator.block()
    before = outcomes(app)
    assert ask(app, as_device(token)) == 403
    assert outcomes(app) == before | {"device_blocked": 1}
    assert event(app, metrics.DENIALS) == 1


def test_gate_times_only_checks_that_need_the_database(
    app: Flask, ask: Respond, token: str
) -> None:
    ask(app, {})
    assert total(app, CHECK_SECONDS) == 0
    ask(app, as_device(token))
    ask(app, as_device("x"))
    assert total(app, CHECK_SECONDS) == 2
    assert 0 < state_of(app).metrics.values()[CHECK_SECONDS.end - 1] < 10


def test_unavailable_database_is_counted(
    databases: Databases, make_bare_app: MakeApp, instance: Path, ask: Respond
) -> None:
    app = make_bare_app(**databases.unavailable(instance))
    assert ask(app, as_device("x")) == 503
    assert outcomes(app) == {"unavailable": 1}
    assert event(app, metrics.DATABASE_ERRORS) == 1


def test_registration_and_changed_details_are_counted_once(
    app: Flask, client: FlaskClient, token: str
) -> None:
    for version in ("1", "1", "2", "2"):
        client.get(DEVICE, headers=as_device(token, application_version=version))
    assert event(app, metrics.REGISTRATIONS) == 1
    assert event(app, metrics.CHANGES) == 1
    assert outcomes(app) == {"allowed": 4}


def test_preflight_request_is_counted_apart(app: Flask, client: FlaskClient) -> None:
    client.options(
        DEVICE, headers={"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    )
    assert outcomes(app) == {"preflight": 1}


def test_expired_token_is_counted_as_invalid(
    app: Flask, client: FlaskClient, new_token: NewToken, fake_clock: FakeClock
) -> None:
    token = new_token(expires_at=NOON)
    fake_clock.set(NOON + timedelta(seconds=1))
    client.get(DEVICE, headers=as_device(token))
    assert outcomes(app) == {"token_invalid": 1}


def test_unexpected_error_is_counted(
    app: Flask, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError

    tracker = state_of(app).gate_tracker
    monkeypatch.setattr(tracker.lookup, "find", fail)
    request = {"REQUEST_METHOD": "GET", "HTTP_AUTHORIZATION": "Bearer x"}
    assert Gate(app, app.wsgi_app).respond(request).status == 500
    assert outcomes(app) == {"internal_error": 1}


def test_flush_counts_rows_and_delay(app: Flask, client: FlaskClient, token: str) -> None:
    activity = state_of(app).activity
    client.get(DEVICE, headers=as_device(token))
    activity.flush()
    activity.flush()  # nothing to write
    assert total(app, FLUSH_ROWS) == total(app, FLUSH_DELAY) == 1
    values = state_of(app).metrics.values()
    assert values[FLUSH_ROWS.end - 1] == 3  # the device, its token, and both together
    assert 0 < values[FLUSH_DELAY.end - 1] < 10


def test_load_of_the_buffer_falls_to_zero_when_it_is_flushed(
    app: Flask, client: FlaskClient, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    state = state_of(app)
    buffer = ActivityBuffer(state.db, interval=3600, limit=2)
    assert buffer.load == (0, 0, 0)
    device_id = 1
    buffer.record_request(device_id, None, NOON, upload=False)
    entries, fill, age = buffer.load
    assert (entries, fill) == (1, 0.5)
    assert 0 < age < 10
    buffer.flush()
    assert buffer.load == (0, 0, 0)
    buffer.close()


def test_no_addition_gets_lost_between_threads() -> None:
    counted = Metrics()

    def count() -> None:
        for _ in range(10_000):
            counted.count_check("allowed", 0)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = counted.values()
    assert values[OUTCOMES.index("allowed")] == 80_000
    assert sum(values[CHECK_SECONDS.start : CHECK_SECONDS.end - 1]) == 80_000


def test_threads_that_have_ended_leave_their_numbers_but_no_memory() -> None:
    counted = Metrics()
    for _ in range(100):
        thread = threading.Thread(target=counted.count, args=(metrics.REGISTRATIONS,))
        thread.start()
        thread.join()
    assert counted.values()[metrics.REGISTRATIONS] == 100
    assert len(counted._by_thread) < 20


def test_forked_process_starts_from_zero() -> None:
    counted = Metrics()
    counted.count(metrics.REGISTRATIONS)
    if (child := os.fork()) == 0:
        os._exit(0 if sum(counted.values()) == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert counted.values()[metrics.REGISTRATIONS] == 1


def test_value_on_a_bound_belongs_to_its_bucket() -> None:
    counted = Metrics()
    for value in (1, 1.5, 1_000_000):
        counted.observe(FLUSH_ROWS, value)
    buckets = counted.values()[FLUSH_ROWS.start : FLUSH_ROWS.end - 1]
    assert (buckets[0], buckets[1], buckets[-1]) == (1, 1, 1)
