"""The extension's tables in hosts that run migrations with Flask-Migrate or Alembic."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import alembic.command
import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, MetaData, NullPool, create_engine, inspect

from apidevices import APIDevices, migration
from harness.real_server import ROOT, clean_environment
from tests.host.conftest import Close

HOST = """
import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from apidevices import APIDevices

db = SQLAlchemy()
devices = APIDevices(db=db)


def create_app(migrate_last=False):
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["HOST_DATABASE"]
    db.init_app(app)
    if migrate_last:
        devices.init_app(app)
    Migrate(app, db, include_name=lambda name, kind, parents: name != "left_alone")
    if not migrate_last:
        devices.init_app(app)
    return app
"""

REVISIONS = {
    "first": """
import sqlalchemy as sa
from alembic import op

from host import devices

revision, down_revision = "first", None


def upgrade():
    op.create_table("made_before", sa.Column("id", sa.Integer, primary_key=True))
    devices.upgrade(op.get_bind())
    op.create_table("made_after", sa.Column("id", sa.Integer, primary_key=True))
    op.bulk_insert(sa.table("made_after", sa.column("id")), [{"id": 1}])
""",
    "second": """
import sqlalchemy as sa
from alembic import op

from host import devices

revision, down_revision = "second", "first"


def upgrade():
    devices.upgrade(op.get_bind())
    op.create_table("made_last", sa.Column("id", sa.Integer, primary_key=True))
""",
    "failing": """
from alembic import op

revision, down_revision = "failing", "second"


def upgrade():
    raise RuntimeError("This migration fails.")
""",
    "failing_after_upgrade": """
from alembic import op

from host import devices

revision, down_revision = "failing_after_upgrade", None


def upgrade():
    devices.upgrade(op.get_bind())
    raise RuntimeError("This migration fails.")
""",
}

Command = tuple[str, ...]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

FLASK: Command = ("flask", "--app", "host", "db")
ALEMBIC: Command = ("alembic",)


@pytest.fixture
def run(url: str, tmp_path: Path) -> Run:
    """Runs a Python module as a program in the host's folder."""
    (tmp_path / "host.py").write_text(HOST)
    environment = clean_environment(HOST_DATABASE=url, PYTHONPATH=f"{tmp_path}:{ROOT}")

    def run(*command: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def url(empty_url: str) -> str:
    """The URL of a database without tables."""
    return empty_url


@pytest.fixture(params=[FLASK, ALEMBIC], ids=["flask-migrate", "alembic"])
def command(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> Command:
    """The command that runs the migrations of the host, which has two revisions."""
    chosen: Command = request.param
    if chosen == FLASK:
        make_migrations(url, tmp_path)
    else:
        settings = tmp_path / "alembic.ini"
        alembic.command.init(Config(settings), str(tmp_path / "migrations"))
        lines = settings.read_text().splitlines()
        kept = [line for line in lines if not line.startswith("sqlalchemy.url")]
        kept.insert(kept.index("[alembic]") + 1, f"sqlalchemy.url = {url.replace('%', '%%')}")
        settings.write_text("\n".join(kept))
    add_revision(tmp_path, "first")
    add_revision(tmp_path, "second")
    return chosen


def make_migrations(url: str, folder: Path) -> None:
    """Create a migrations folder, like ``flask db init``."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    Migrate(app, SQLAlchemy(app))
    with app.app_context():
        flask_migrate.init(str(folder / "migrations"))


def make_tables(url: str, closing: Close) -> Engine:
    """Create the extension's tables and return an engine for their database."""
    app = Flask(__name__)
    extension = APIDevices(db=url)
    extension.init_app(closing(app))
    with app.app_context():
        extension.upgrade()
    return create_engine(url, poolclass=NullPool)


def add_revision(folder: Path, revision: str) -> None:
    (folder / "migrations" / "versions" / f"{revision}.py").write_text(REVISIONS[revision])


def tables(url: str) -> set[str]:
    engine = create_engine(url, poolclass=NullPool)
    return set(inspect(engine).get_table_names())


def test_upgrade_can_run_within_a_host_migration(run: Run, command: Command, url: str) -> None:
    run(*command, "upgrade", "head")
    assert {"made_before", "apidevices_devices", "made_after", "made_last"} <= tables(url)


@pytest.mark.database("postgresql")
def test_failing_host_migration_rolls_back_the_upgrade(
    run: Run, command: Command, url: str, tmp_path: Path
) -> None:
    add_revision(tmp_path, "failing")
    failed = run(*command, "upgrade", "head", status=1)
    assert "This migration fails." in failed.stderr
    assert tables(url) == set()


def test_host_migration_that_failed_after_the_upgrade_can_be_repeated(
    run: Run, command: Command, url: str, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / "migrations" / "versions" / f"{name}.py").unlink()
    add_revision(tmp_path, "failing_after_upgrade")
    run(*command, "upgrade", "head", status=1)
    assert "apidevices_devices" not in tables(url)
    revision = tmp_path / "migrations" / "versions" / "failing_after_upgrade.py"
    revision.write_text(revision.read_text().replace("    raise", "    # raise"))
    run(*command, "upgrade", "head")
    assert "apidevices_devices" in tables(url)


@pytest.mark.database("sqlite")
def test_upgrade_in_offline_mode_is_rejected(run: Run, command: Command, url: str) -> None:
    failed = run(*command, "upgrade", "head", "--sql", status=1)
    assert "run 'flask apidevices upgrade'" in failed.stderr
    assert tables(url) == set()


@pytest.mark.parametrize("host", ["host", "host:create_app(True)"], ids=["before", "after"])
def test_flask_migrate_ignores_extension_tables(
    run: Run, url: str, closing: Close, tmp_path: Path, host: str
) -> None:
    engine = make_tables(url, closing)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE left_alone (id INTEGER)")
        connection.exec_driver_sql("CREATE TABLE forgotten (id INTEGER)")
    make_migrations(url, tmp_path)
    run("flask", "--app", host, "db", "migrate")
    [revision] = (tmp_path / "migrations" / "versions").glob("*.py")
    upgrade = revision.read_text().partition("def downgrade")[0]
    assert [line.strip() for line in upgrade.splitlines() if "op." in line] == [
        "op.drop_table('forgotten')"
    ]


def test_alembic_can_ignore_extension_tables(url: str, closing: Close) -> None:
    with make_tables(url, closing).connect() as connection:
        options = {"include_name": migration.include_name}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, MetaData()) == []


def test_upgrade_leaves_the_transaction_of_the_connection_open(url: str, closing: Close) -> None:
    app = Flask(__name__)
    extension = APIDevices(db=url)
    extension.init_app(closing(app))
    engine = create_engine(url, poolclass=NullPool)
    for _ in range(2):
        with engine.connect() as connection, connection.begin() as transaction:
            extension.upgrade(connection)
            assert transaction.is_active
            transaction.commit()
    assert "apidevices_devices" in tables(url)
