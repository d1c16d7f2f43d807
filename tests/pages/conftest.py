"""The pages as a browser gets them, from the application in this process."""

import os
import shutil
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache

import app as product
from tests.conftest import DATABASE, NOON, Clock, MakeApp, take_down
from tests.pages.visitor import Visitor
from tests.real_server import configures_the_product

ANN = "ann@example.org"
PASSWORD = "correct horse battery"

_SECRET_KEY = "the same secret in all of these tests"
COOKIE = "apidevices_session"


@pytest.fixture(scope="session")
def signed_in(
    migrated_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A database with one account, and the cookie of a session of it.

    Signing in is slow on purpose, so it is done once.
    """
    folder = tmp_path_factory.mktemp("signed-in")
    shutil.copy(migrated_database, folder / DATABASE)
    with pytest.MonkeyPatch.context() as environment:
        for variable in filter(configures_the_product, list(os.environ)):
            environment.delenv(variable)
        environment.setenv("APIDEVICES_INSTANCE", str(folder))
        environment.setenv("SECRET_KEY", _SECRET_KEY)
        app = product.create_app()
        cookie = sign_up(app).client.get_cookie(COOKIE)
        assert cookie is not None
        take_down(app)
    return folder / DATABASE, cookie.value


def create_account(app: Flask, email: str, password: str = PASSWORD) -> None:
    arguments = ["apidevices", "create-user", email, "--password-stdin"]
    created = app.test_cli_runner().invoke(args=arguments, input=f"{password}\n")
    assert created.exit_code == 0, created.output


def sign_in(visitor: Visitor, email: str, password: str = PASSWORD) -> None:
    answer = visitor.change("/login", "/login", email=email, password=password)
    assert answer.status in (302, 303), answer.text


def sign_up(app: Flask, email: str = ANN) -> Visitor:
    """Create an account and return who has signed in with it."""
    create_account(app, email)
    visitor = Visitor(app.test_client())
    sign_in(visitor, email)
    return visitor


@pytest.fixture(autouse=True)
def _noon(the_clock: Clock) -> None:
    the_clock.set(NOON)


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """What is kept of templates from one test to the next: compiling takes longer than a page."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(
    make_app: MakeApp,
    instance: Path,
    signed_in: tuple[Path, str],
    compiled_templates: FileSystemBytecodeCache,
) -> Flask:
    """The application, with one account."""
    shutil.copy(signed_in[0], instance / DATABASE)
    app = make_app(SECRET_KEY=_SECRET_KEY)
    app.jinja_env.bytecode_cache = compiled_templates
    return app


@pytest.fixture
def session_cookie(signed_in: tuple[Path, str]) -> str:
    """The cookie of a session of the account."""
    return signed_in[1]


@pytest.fixture
def admin(app: Flask, session_cookie: str) -> Visitor:
    """An administrator who is signed in."""
    client = app.test_client()
    client.set_cookie(COOKIE, session_cookie)
    return Visitor(client)


@pytest.fixture
def stranger(app: Flask) -> Visitor:
    """Somebody who is not signed in."""
    return Visitor(app.test_client())


@pytest.fixture
def bare(make_app: MakeApp) -> Visitor:
    """Somebody who visits before there is any account."""
    return Visitor(make_app().test_client())
