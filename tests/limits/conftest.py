"""Fixtures and helpers for the limits on devices and uploads."""

from collections.abc import Iterator
from threading import get_ident

import pytest
from flask import Flask
from sqlalchemy import event, func, select
from werkzeug.test import TestResponse

from tests.conftest import NOON, FakeClock, MakeApp, state_of


@pytest.fixture
def app(make_app: MakeApp, fake_clock: FakeClock) -> Flask:
    fake_clock.set(NOON)
    return make_app(
        APIDEVICES_NEW_DEVICES_PER_HOUR="3",
        APIDEVICES_CHANGES_PER_HOUR="2",
        APIDEVICES_TOKEN_CHANGES_PER_HOUR="5",
        APIDEVICES_UPLOADS_PER_DAY="4",
        APIDEVICES_UPLOAD_BYTES_PER_DAY="1000",
        APIDEVICES_TOKEN_UPLOADS_PER_DAY="6",
        APIDEVICES_TOKEN_UPLOAD_BYTES_PER_DAY="1500",
    )


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """The SQL statements of this thread, apart from lookups. Activity is written in another one."""
    statements: list[str] = []
    thread = get_ident()

    def record(*arguments: object) -> None:
        if get_ident() == thread:
            statements.append(str(arguments[2]))

    engine = state_of(app).db.engine
    event.listen(engine, "before_cursor_execute", record)
    yield statements
    event.remove(engine, "before_cursor_execute", record)


def assert_limited(response: TestResponse, setting: str, retry_after: int) -> None:
    assert response.status_code == 429
    assert response.mimetype == "application/problem+json"
    assert response.get_json(force=True)["code"] == "rate_limited"
    assert f"APIDEVICES_{setting}" in response.text
    assert int(response.headers["Retry-After"]) == retry_after


def count(app: Flask, model: type) -> int:
    with state_of(app).db.read() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0
