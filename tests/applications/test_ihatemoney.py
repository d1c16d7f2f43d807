"""ihatemoney: an application factory with Flask-RESTful, and devices in the same database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.security import generate_password_hash

from harness.databases import Databases
from harness.real_server import SQLITE_FILE
from tests.applications.conftest import ADMIN, Browser, Host, MakeEnvironment, check_blocking

SETTINGS = """
SQLALCHEMY_DATABASE_URI = {url!r}
SECRET_KEY = "of ihatemoney"
ADMIN_PASSWORD = {password!r}
ACTIVATE_ADMIN_DASHBOARD = True
SESSION_COOKIE_SECURE = False
MAIL_SUPPRESS_SEND = True
"""

PROJECT = "/api/projects/holidays"

AUTH = ("holidays", "sesame")

SERVE = ("gunicorn", "--threads=4", "--bind=127.0.0.1:{port}", "ihatemoney_devices:create_app()")


@pytest.fixture(scope="module")
def ihatemoney(
    environment: MakeEnvironment,
    databases: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Host]:
    """ihatemoney with one project."""
    programs = environment("ihatemoney")
    folder = tmp_path_factory.mktemp("ihatemoney")
    database = databases.empty(folder)
    url = database.get("DATABASE_URL", f"sqlite:///{folder / SQLITE_FILE}")
    settings = folder / "ihatemoney.cfg"
    settings.write_text(
        SETTINGS.format(
            url=url.replace("postgresql://", "postgresql+psycopg://"),
            password=generate_password_hash("open", method="pbkdf2:sha256:1000"),
        )
    )
    variables = {
        "IHATEMONEY_SETTINGS_FILE_PATH": str(settings),
        "FLASK_APP": "ihatemoney_devices",
        "https_proxy": "http://127.0.0.1:1",  # prevents requests for exchange rates
    }
    host = Host(programs, folder, SERVE, variables)
    host.run("flask", "apidevices", "upgrade")
    with host:
        project = {"id": "holidays", "name": "Holidays", "contact_email": "ann@example.org"}
        fields = project | {"password": "sesame", "default_currency": "XXX"}
        created = host.browser().post("/api/projects", data=fields)
        assert created.status_code == 201, created.text
        yield host
    databases.drop(database)


@pytest.fixture(scope="module")
def administrator(ihatemoney: Host) -> Browser:
    browser = ihatemoney.browser()
    assert browser.submit("/admin", admin_password="open").status_code == 302
    return browser


def test_blocked_device_is_denied_and_others_keep_working(
    ihatemoney: Host, administrator: Browser
) -> None:
    paths = {PROJECT: 200, f"{PROJECT}/bills": 200, f"{PROJECT}/bills/7": 404, "/api/nothing": 404}
    check_blocking(ihatemoney, administrator, AUTH, paths)


@pytest.mark.database("sqlite")
def test_device_with_the_wrong_password_is_not_recorded(
    ihatemoney: Host, administrator: Browser
) -> None:
    assert ihatemoney.call(PROJECT, "device-x", ("holidays", "wrong")).status_code == 401
    assert ihatemoney.call(PROJECT, "device-y", AUTH).status_code == 200
    assert "device-y" in administrator.devices()
    assert "device-x" not in administrator.devices()


@pytest.mark.database("sqlite")
def test_admin_pages_ask_anonymous_visitors_for_the_password(ihatemoney: Host) -> None:
    response = ihatemoney.browser().get(ADMIN)
    assert (response.status_code, response.headers["Location"]) == (302, f"/admin?goto={ADMIN}")


@pytest.mark.database("sqlite")
def test_pages_and_login_of_ihatemoney_keep_working(
    ihatemoney: Host, administrator: Browser
) -> None:
    browser = ihatemoney.browser()
    assert browser.get("/holidays/").headers["Location"].startswith("/authenticate")
    signed_in = browser.submit("/authenticate", id="holidays", password="sesame")
    assert signed_in.status_code == 302, signed_in.text
    assert "Holidays" in browser.get("/holidays/").text
    assert "Holidays" in administrator.get("/dashboard").text


@pytest.mark.database("postgresql")
def test_flask_db_check_ignores_the_tables_of_api_devices(ihatemoney: Host) -> None:
    site_packages = next(Path(ihatemoney.programs.parent).glob("lib/*/site-packages"))
    folder = f"--directory={site_packages}/ihatemoney/migrations"
    # The check fails because ihatemoney's models differ from its own migrations.
    differences = ihatemoney.run("flask", "db", "check", folder, status=1)
    assert "Detected" in differences
    assert "apidevices" not in differences


FACTORY = f"""
from ihatemoney_devices import create_app, devices

for app in (create_app(), create_app()):
    client = app.test_client()
    options = {{"headers": {{"X-Device-ID": "device-d"}}, "auth": {AUTH!r}}}
    assert client.get("{PROJECT}", **options).status_code == 200
    flask = app.test_cli_runner()
    assert flask.invoke(args=["apidevices", "block", "device-d"]).exit_code == 0
    assert client.get("{PROJECT}", **options).status_code == 403
    assert client.get("{PROJECT}/nothing", **options).status_code == 403
    assert flask.invoke(args=["apidevices", "unblock", "device-d"]).exit_code == 0
"""


@pytest.mark.database("sqlite")
def test_block_works_in_two_applications_from_one_factory(ihatemoney: Host) -> None:
    ihatemoney.run("python", "-c", FACTORY)
