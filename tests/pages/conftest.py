"""The pages as a browser gets them, from the application in this process."""

import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache

import app as product
from apidevices.standalone.migrations import upgrade
from harness.databases import Databases, Variables
from tests.conftest import NOON, Clock, MakeApp, only, state_of
from tests.pages.visitor import Visitor

ANN = "ann@example.org"
PASSWORD = "correct horse battery"

SECRET_KEY = "the same secret in all of these tests"
COOKIE = "apidevices_session"


@pytest.fixture(scope="session")
def signed_in(
    databases: Databases, migrated: Variables, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Variables, str]:
    """A database with one account, and the cookie of a session of it.

    Signing in is slow on purpose, so it is done once.
    """
    database = databases.copy(migrated, tmp_path_factory.mktemp("signed-in") / "instance")
    with only(database | {"SECRET_KEY": SECRET_KEY}):
        app = product.create_app()
        cookie = sign_up(app).client.get_cookie(COOKIE)
        assert cookie is not None
        state_of(app).close()
    return database, cookie.value


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


def signed_in_visitor(app: Flask, cookie: str) -> Visitor:
    """Return who has the cookie of a session."""
    client = app.test_client()
    client.set_cookie(COOKIE, cookie)
    return Visitor(client)


@pytest.fixture(autouse=True)
def _noon(the_clock: Clock) -> None:
    the_clock.set(NOON)


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """What is kept of templates from one test to the next: compiling takes longer than a page."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def template(signed_in: tuple[Variables, str]) -> Variables:
    """The database that applications get a copy of, with one account."""
    return signed_in[0]


@pytest.fixture
def app(make_app: MakeApp, compiled_templates: FileSystemBytecodeCache) -> Flask:
    """The application, with one account."""
    app = make_app(SECRET_KEY=SECRET_KEY)
    app.jinja_env.bytecode_cache = compiled_templates
    return app


@pytest.fixture
def session_cookie(signed_in: tuple[Variables, str]) -> str:
    """The cookie of a session of the account."""
    return signed_in[1]


@pytest.fixture
def admin(app: Flask, session_cookie: str) -> Visitor:
    """An administrator who is signed in."""
    return signed_in_visitor(app, session_cookie)


@pytest.fixture
def stranger(app: Flask) -> Visitor:
    """Somebody who is not signed in."""
    return Visitor(app.test_client())


@pytest.fixture
def visitors(admin: Visitor, stranger: Visitor) -> dict[str, Visitor]:
    """Both of them, for tests that say by name who visits."""
    return {"admin": admin, "stranger": stranger}


@pytest.fixture
def bare(make_bare_app: MakeApp) -> Visitor:
    """Somebody who visits before there is any account."""
    app = make_bare_app()
    with app.app_context():
        upgrade()
    return Visitor(app.test_client())
