"""Liveness and readiness checks."""

from pathlib import Path

from flask.testing import FlaskClient

from harness.databases import Databases
from tests.conftest import MakeApp


def test_livez_is_200_and_readyz_is_503_without_the_database(
    databases: Databases, make_bare_app: MakeApp, instance: Path
) -> None:
    client = make_bare_app(**databases.unavailable(instance)).test_client()
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 503


def test_readyz_is_503_before_the_first_migration(make_bare_app: MakeApp) -> None:
    assert make_bare_app().test_client().get("/readyz").status_code == 503


def test_readyz_is_503_before_the_latest_migration(make_app: MakeApp) -> None:
    app = make_app()
    assert app.test_cli_runner().invoke(args=["db", "downgrade", "--yes", "0001"]).exit_code == 0
    assert app.test_client().get("/readyz").status_code == 503


def test_readyz_is_200_after_all_migrations(client: FlaskClient) -> None:
    assert client.get("/readyz").status_code == 200
