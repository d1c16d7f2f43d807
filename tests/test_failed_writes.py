"""An error in a transaction propagates unchanged, even if the rollback fails, and is reported."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from apidevices.database import Database
from tests.conftest import UPLOADS, VERIFY, as_device


@pytest.mark.database("sqlite")
def test_error_is_raised_if_sqlite_has_already_rolled_back(db: Database) -> None:
    def fill_disk(session: Session) -> None:
        session.connection().exec_driver_sql("ROLLBACK")  # as SQLite does if the disk is full
        raise ValueError("disk full")

    with pytest.raises(ValueError, match="disk full"), db.write() as session:
        fill_disk(session)


def test_keyboard_interrupt_propagates_if_the_connection_is_broken(db: Database) -> None:
    def interrupt(session: Session) -> None:
        session.connection().invalidate()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), db.write() as session:
        interrupt(session)
    with db.write():
        pass  # the next write gets a new connection


@pytest.mark.database("sqlite")
def test_error_of_a_snapshot_is_raised_if_the_rollback_fails(db: Database) -> None:
    def fail(session: Session) -> None:
        session.connection().exec_driver_sql("ROLLBACK")
        raise ValueError("disk full")

    with pytest.raises(ValueError, match="disk full"), db.snapshot() as session:
        fail(session)


def limit_size(db: Database, pages: int) -> None:
    """Limit the size of the database for the only connection that writes."""
    with db.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


@pytest.mark.database("sqlite")
def test_readyz_and_the_log_name_the_first_error_until_a_write_succeeds(
    client: FlaskClient, token: str, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    limit_size(db, 1)
    body = "x" * 1_000_000
    response = client.post(UPLOADS, headers=as_device(token), json=body)
    assert (response.status_code, (response.json or {})["code"]) == (503, "unavailable")
    assert "database or disk is full" in caplog.text
    assert "cannot rollback" not in caplog.text
    degraded = client.get("/readyz")
    assert degraded.status_code == 200  # known devices are served
    assert degraded.text == "ok, but the latest write failed: database or disk is full\n"
    assert client.get(VERIFY, headers=as_device(token)).status_code == 200
    limit_size(db, 1_000_000)
    assert client.post(UPLOADS, headers=as_device(token), json=body).status_code == 201
    assert client.get("/readyz").text == "ok\n"


def test_faulty_statement_does_not_count_as_a_failed_write(db: Database) -> None:
    with pytest.raises(DBAPIError), db.write() as session:
        session.connection().exec_driver_sql("NONSENSE")
    assert db.write_failure is None
