"""An activity buffer that only tests flush, on a database that can become unavailable."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

import app as standalone
from apidevices import devices, tokens
from apidevices.activity import ActivityBuffer
from apidevices.database import Database
from apidevices.models import ApiToken, DeviceActivity
from tests.conftest import NOON

NEVER = 3600.0
"""A flush interval longer than any test, so that only explicit flushes run."""


def after(seconds: int) -> datetime:
    """Return the time this many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


class FlakyDatabase(Database):
    """A database whose writes fail while it is unavailable."""

    available = True

    @contextmanager
    def write(
        self, timeout: float | None = None, *, exclusive: bool = False, essential: bool = True
    ) -> Iterator[Session]:
        if not self.available:
            raise OSError("the database is unavailable")
        with super().write(timeout, exclusive=exclusive, essential=essential) as session:
            yield session


@pytest.fixture
def flaky_db(app: Flask) -> FlakyDatabase:
    with app.app_context():
        return FlakyDatabase(standalone.db.engine)


@pytest.fixture
def buffer(flaky_db: FlakyDatabase) -> Iterator[ActivityBuffer]:
    buffer = ActivityBuffer(flaky_db, interval=NEVER, limit=2)
    yield buffer
    buffer.close()


@pytest.fixture
def token_id(db: Database) -> int:
    return tokens.issue(db, "test", actor="ann", now=NOON)[0].id


def activity(db: Database, device_id: int) -> DeviceActivity:
    return devices.get(db, device_id).activity


def token_used_at(db: Database, token_id: int) -> datetime | None:
    with db.read() as session:
        return session.scalar(select(ApiToken.last_used_at).where(ApiToken.id == token_id))


def was_active_at(db: Database, device_id: int, moment: datetime) -> bool:
    return activity(db, device_id).last_active_at == moment
