"""A SQLite file that is moved, replaced or deleted while it is in use: 503 until it is back."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices.database import Database, DatabaseUnavailable, files
from apidevices.lookup import LookupFailed, make_async_lookup, make_lookup
from tests.conftest import DEVICE, UPLOADS, VERIFY, MakeApp, as_device, state_of
from tests.event_loops import run_async

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture(autouse=True)
def _frequent_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CHECK_INTERVAL", 0)


@pytest.fixture
def file(app: Flask, instance: Path) -> Path:
    return instance / "apidevices.sqlite3"


def statuses(client: FlaskClient, token: str) -> list[int]:
    """Call as a known device, as a new device, and upload."""
    return [
        client.get(DEVICE, headers=as_device(token)).status_code,
        client.get(VERIFY, headers=as_device(token)).status_code,
        client.get(VERIFY, headers=as_device(token, os.urandom(8).hex())).status_code,
        client.post(UPLOADS, headers=as_device(token), json=[]).status_code,
        client.get("/readyz").status_code,
    ]


def replace_under_server(file: Path, db: Database) -> Path:
    """Replace the file with a copy, and let the process notice it. Return the original."""
    original = file.with_name("original")
    file.rename(original)
    shutil.copy(original, file)
    with pytest.raises(DatabaseUnavailable):
        db.file.check()
    return original


SERVED = [200, 200, 200, 201, 200]


def test_everything_is_denied_while_the_file_is_moved_away(
    client: FlaskClient, token: str, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert statuses(client, token) == SERVED
    file.rename(file.with_name("moved"))
    assert statuses(client, token) == [503] * 5
    assert client.get("/login").status_code == 503
    response = client.get("/readyz")
    assert response.text.startswith("The database file has been moved, replaced or deleted.")
    [record] = caplog.records
    assert str(file) in record.getMessage()
    assert not file.exists()  # a new connection would have created an empty database
    file.with_name("moved").rename(file)
    assert statuses(client, token) == SERVED


def test_everything_is_denied_after_the_file_has_been_replaced(
    client: FlaskClient, token: str, db: Database, file: Path, make_app: MakeApp
) -> None:
    assert statuses(client, token) == SERVED
    with db.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint")
    shutil.copy(file, file.with_name("copy"))
    file.with_name("copy").replace(file)
    assert statuses(client, token) == [503] * 5
    # As after a restart. SQLite needs its log to be removed with the old database.
    for suffix in ("-wal", "-shm"):
        Path(f"{file}{suffix}").unlink()
    assert statuses(make_app().test_client(), token) == SERVED


def test_replaced_link_to_the_file_is_noticed(db: Database, file: Path) -> None:
    with db.read():
        pass
    shutil.copy(file, file.with_name("copy"))
    file.rename(file.with_name("original"))
    file.symlink_to(file.with_name("original"))
    with db.read():  # the link leads to the same file
        pass
    file.unlink()
    file.symlink_to(file.with_name("copy"))
    with pytest.raises(DatabaseUnavailable), db.read():
        pass


def test_write_to_a_file_that_is_moved_meanwhile_is_not_acknowledged(
    db: Database, file: Path
) -> None:
    with pytest.raises(DatabaseUnavailable), db.write():
        file.rename(file.with_name("moved"))


def test_gate_in_an_event_loop_notices_a_moved_file(db: Database, file: Path) -> None:
    async def find() -> None:
        with ThreadPoolExecutor(1) as executor:
            lookup = make_async_lookup(make_lookup(db, tokens=False), executor)
            for _ in range(2):  # opens the connection of the event loop
                await lookup.find(None, "phone-1", datetime.now(UTC))
            file.rename(file.with_name("moved"))
            with pytest.raises(LookupFailed, match="moved, replaced or deleted"):
                await lookup.find(None, "phone-1", datetime.now(UTC))
            lookup.close()

    run_async(find())


def test_next_start_does_not_write_the_log_of_a_moved_file_into_its_replacement(
    make_bare_app: MakeApp, client: FlaskClient, token: str, db: Database, file: Path
) -> None:
    assert statuses(client, token) == SERVED
    original = replace_under_server(file, db)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable, match="Move that file back"):
            files.DatabaseFile(file).check()
    file.unlink()
    result = make_bare_app().test_cli_runner().invoke(args=["apidevices", "upgrade"])
    assert "Move that file back" in result.stderr
    assert not file.exists()  # creating it would delete the log
    original.rename(file)
    files.DatabaseFile(file).check()
    db.file.check()
    assert not file.with_name(f"{file.name}-moved").exists()


def test_replacement_is_used_once_the_log_of_the_moved_file_is_deleted(
    client: FlaskClient, token: str, db: Database, file: Path
) -> None:
    assert statuses(client, token) == SERVED
    replace_under_server(file, db)
    Path(f"{file}-wal").unlink()
    replacement = files.DatabaseFile(file)
    replacement.check()
    assert replacement.identity == (file.stat().st_dev, file.stat().st_ino)


def test_deleted_log_is_noticed_by_the_next_write(db: Database, file: Path) -> None:
    with db.write():
        pass
    Path(f"{file}-wal").unlink()
    with pytest.raises(DatabaseUnavailable, match=r"log .* has been deleted"), db.write():
        pass
    with pytest.raises(DatabaseUnavailable), db.read():
        pass


def test_file_created_after_the_start_is_used(make_bare_app: MakeApp) -> None:
    app = make_bare_app()
    client = app.test_client()
    assert client.get("/readyz").status_code == 503
    assert app.test_cli_runner().invoke(args=["apidevices", "upgrade"]).exit_code == 0
    assert client.get("/readyz").text == "ok\n"


def test_worker_uses_only_the_file_that_the_server_started_with(
    make_app: MakeApp, file: Path
) -> None:
    app = make_app()
    state_of(app).db.file.identity = (1, 1)  # as passed on by the master process
    assert app.test_client().get("/readyz").status_code == 503


def test_lookups_check_the_file_at_most_once_per_interval(
    db: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHECK_INTERVAL", 3600)
    db.file.check_regularly()
    file.rename(file.with_name("moved"))
    db.file.check_regularly()
    with pytest.raises(DatabaseUnavailable):
        db.file.check()
