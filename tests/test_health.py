"""Is the process alive, and can it serve?"""

from pathlib import Path

from flask.testing import FlaskClient

from harness.databases import Databases
from tests.conftest import MakeApp


def test_livez_does_not_need_the_database(
    databases: Databases, make_bare_app: MakeApp, instance: Path
) -> None:
    client = make_bare_app(**databases.unavailable(instance)).test_client()
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 503


def test_readyz_waits_for_the_migration(make_bare_app: MakeApp) -> None:
    assert make_bare_app().test_client().get("/readyz").status_code == 503


def test_readyz_waits_for_the_newest_migration(make_app: MakeApp) -> None:
    app = make_app()
    assert app.test_cli_runner().invoke(args=["db", "downgrade", "0001"]).exit_code == 0
    assert app.test_client().get("/readyz").status_code == 503


def test_readyz_is_ready(client: FlaskClient) -> None:
    assert client.get("/readyz").status_code == 200
