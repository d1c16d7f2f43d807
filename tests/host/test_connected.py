"""Supported databases, and several applications in one process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine, event

from apidevices import APIDevices, ConfigError
from tests.host.conftest import Close, block, known_identifiers, make_app, phone


@pytest.mark.parametrize("make_db", [str, create_engine], ids=["url", "engine"])
def test_database_can_be_a_url_or_an_engine(
    url: str, closing: Close, make_db: Callable[[str], Any]
) -> None:
    app = make_app(APIDevices(db=make_db(url)), closing)
    assert app.test_client().get("/api/ping", headers=phone()).status_code == 200
    assert known_identifiers(app) == ["phone-1"]


@pytest.mark.parametrize("url", ["mysql://db/shop", "not a URL"])
def test_unsupported_database_is_rejected(url: str) -> None:
    with pytest.raises(ConfigError, match=r"\Adb: "):
        APIDevices(db=url).init_app(Flask(__name__))


def test_applications_in_one_process_are_isolated(tmp_path: Path, closing: Close) -> None:
    first, second = (
        make_app(APIDevices(db=f"sqlite:///{tmp_path}/{name}.sqlite3"), closing) for name in "ab"
    )
    first.test_client().get("/api/ping", headers=phone())
    assert (known_identifiers(first), known_identifiers(second)) == (["phone-1"], [])


def test_one_extension_serves_several_applications(url: str, closing: Close) -> None:
    extension = APIDevices(db=url)
    first = make_app(extension, closing)
    first.test_client().get("/api/ping", headers=phone())
    block(first)
    second = make_app(extension, closing)  # like an application factory, this calls protect() again
    assert second.test_client().get("/api/ping", headers=phone()).status_code == 403


@pytest.mark.database("postgresql")
def test_block_is_visible_despite_transaction_left_open_by_event_listener(
    url: str, closing: Close
) -> None:
    engine = create_engine(url, isolation_level="REPEATABLE READ")

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.execute("SET search_path TO public")

    app = make_app(APIDevices(db=engine), closing)
    client = app.test_client()
    for _ in range(2):  # the second request reuses the connection of the first
        assert client.get("/api/ping", headers=phone()).status_code == 200
    block(app)
    assert client.get("/api/ping", headers=phone()).status_code == 403
