"""calibre-web: a module-level application with its own login, and devices in another database."""

from collections.abc import Iterator

import pytest

from tests.applications.conftest import (
    ADMIN,
    EXAMPLES,
    Browser,
    Host,
    MakeEnvironment,
    check_blocking,
)

AUTH = ("admin", "admin123")  # calibre-web's default account

# calibre-web has models of a library's tables, but only Calibre can create a library.
LIBRARY = """
import calibreweb.__main__
from cps.db import Base, Library_Id
from sqlalchemy import create_engine, insert

for table in Base.metadata.tables.values():
    table.schema = None
with create_engine("sqlite:///library/metadata.db").begin() as connection:
    Base.metadata.create_all(connection)
    connection.execute(insert(Library_Id).values(id=1, uuid="5b1c"))
"""


@pytest.fixture(scope="module")
def calibreweb(
    environment: MakeEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    """calibre-web with an empty library."""
    programs = environment("calibreweb")
    folder = tmp_path_factory.mktemp("calibreweb")
    (folder / "library").mkdir()
    program = str(EXAMPLES / "calibreweb_devices.py")
    host = Host(
        programs,
        folder,
        ("python", program, "-i", "127.0.0.1"),
        {"CALIBRE_DBPATH": str(folder), "CALIBRE_PORT": "{port}"},
    )
    host.run("python", "-c", LIBRARY)
    with host:
        library = {"config_calibre_dir": str(folder / "library")}
        assert "updated" in sign_in(host).submit("/admin/dbconfig", **library).text
        yield host


@pytest.fixture(scope="module")
def administrator(calibreweb: Host) -> Browser:
    return sign_in(calibreweb)


def sign_in(host: Host, user: str = AUTH[0], password: str = AUTH[1]) -> Browser:
    browser = host.browser()
    response = browser.submit("/login", username=user, password=password, next="/")
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    return browser


def test_blocked_device_is_denied_and_others_keep_working(
    calibreweb: Host, administrator: Browser
) -> None:
    paths = {"/opds": 200, "/opds/new": 200, "/opds/nothing": 404}
    check_blocking(calibreweb, administrator, AUTH, paths)


def test_device_with_the_wrong_password_is_not_recorded(
    calibreweb: Host, administrator: Browser
) -> None:
    assert calibreweb.call("/opds", "device-x", ("admin", "wrong")).status_code == 401
    assert calibreweb.call("/opds", "device-y", AUTH).status_code == 200
    assert "device-y" in administrator.devices()
    assert "device-x" not in administrator.devices()


def test_admin_pages_redirect_anonymous_visitors_to_the_login(calibreweb: Host) -> None:
    response = calibreweb.browser().get(ADMIN)
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/login?next=")


def test_admin_pages_deny_users_who_are_not_administrators(
    calibreweb: Host, administrator: Browser
) -> None:
    account = {"name": "ann", "email": "ann@example.org", "password": "Sesame-123"}
    administrator.submit("/admin/user/new", **account, default_language="all", locale="en")
    reader = sign_in(calibreweb, "ann", "Sesame-123")
    assert reader.get("/me").status_code == 200
    assert reader.get(ADMIN).status_code == 403


def test_pages_and_error_pages_of_calibreweb_keep_working(
    calibreweb: Host, administrator: Browser
) -> None:
    assert "Calibre-Web" in administrator.get("/").text
    assert administrator.get("/admin/view").status_code == 200
    assert "Error 404" in administrator.get("/nothing").text
    assert "Error 404" in calibreweb.call("/opds/nothing", None, AUTH).text
