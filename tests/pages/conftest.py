"""Fixtures for the page tests: the application in this process and its visitors."""

import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache

import app as standalone
from apidevices.standalone.migrations import upgrade
from harness.databases import Databases, Variables
from tests.conftest import NOON, FakeClock, MakeApp, Register, only_settings, state_of
from tests.pages.visitor import Visitor

ANN = "ann@example.org"
PASSWORD = "correct horse battery"

SECRET_KEY = "shared by all page tests, so that session cookies stay valid"
COOKIE = "apidevices_session"


@pytest.fixture(scope="session")
def signed_in(
    databases: Databases, migrated: Variables, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Variables, str]:
    """A database with one account, and a session cookie of that account.

    Password hashing is slow on purpose, so the tests share one sign-in.
    """
    database = databases.copy(migrated, tmp_path_factory.mktemp("signed-in") / "instance")
    with only_settings(database | {"SECRET_KEY": SECRET_KEY}):
        app = standalone.create_app()
        with pytest.MonkeyPatch.context() as clock:
            FakeClock(clock).set(NOON)  # the session must not be older than the tests
            cookie = create_and_sign_in(app).client.get_cookie(COOKIE)
        assert cookie is not None
        state_of(app).close()
    return database, cookie.value


def create_account(app: Flask, email: str, password: str = PASSWORD) -> None:
    arguments = ["apidevices", "create-user", email, "--password-stdin"]
    created = app.test_cli_runner().invoke(args=arguments, input=f"{password}\n")
    assert created.exit_code == 0, created.output


def sign_in(visitor: Visitor, email: str, password: str = PASSWORD) -> None:
    response = visitor.change("/login", "/login", email=email, password=password)
    assert response.status in (302, 303), response.text


def create_and_sign_in(app: Flask, email: str = ANN) -> Visitor:
    """Create an account and return a visitor who is signed in to it."""
    create_account(app, email)
    visitor = Visitor(app.test_client())
    sign_in(visitor, email)
    return visitor


def signed_in_visitor(app: Flask, cookie: str) -> Visitor:
    """Return a visitor with a session cookie."""
    client = app.test_client()
    client.set_cookie(COOKIE, cookie)
    return Visitor(client)


@pytest.fixture(autouse=True)
def _noon(fake_clock: FakeClock) -> None:
    fake_clock.set(NOON)


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Compiled templates, shared by all tests: compiling is slower than rendering."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def template(signed_in: tuple[Variables, str]) -> Variables:
    """The database to copy for each test. It has one account."""
    return signed_in[0]


@pytest.fixture
def app(make_app: MakeApp, compiled_templates: FileSystemBytecodeCache) -> Flask:
    """The application. It has one account."""
    app = make_app(SECRET_KEY=SECRET_KEY)
    app.jinja_env.bytecode_cache = compiled_templates
    return app


@pytest.fixture
def session_cookie(signed_in: tuple[Variables, str]) -> str:
    """A session cookie of the account."""
    return signed_in[1]


@pytest.fixture
def admin(app: Flask, session_cookie: str) -> Visitor:
    """A signed-in administrator."""
    return signed_in_visitor(app, session_cookie)


@pytest.fixture
def phone(register: Register) -> int:
    """The id of a device."""
    return register("phone-1")


@pytest.fixture
def anonymous(app: Flask) -> Visitor:
    """A visitor who is not signed in."""
    return Visitor(app.test_client())


@pytest.fixture
def visitors(admin: Visitor, anonymous: Visitor) -> dict[str, Visitor]:
    """Both visitors by name, for parametrized tests."""
    return {"admin": admin, "anonymous": anonymous}


@pytest.fixture
def visitor_without_accounts(make_bare_app: MakeApp) -> Visitor:
    """A visitor of an application that has no account yet."""
    app = make_bare_app()
    with app.app_context():
        upgrade()
    return Visitor(app.test_client())
