"""A full disk under SQLite: blocks and sign-ins work, known devices are served, and it recovers.

The disk is mounted for the test, which needs the privileges of root.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from apidevices import clock, devices, tokens
from apidevices.database import Database, engine_for
from apidevices.identity import DeviceIdentity
from harness.databases import Databases, Variables
from harness.real_server import RealServer, Response
from harness.small_disk import SmallDisk, mounted
from tests.conftest import DEVICE, DEVICES, UPLOADS, VERIFY, as_device

pytestmark = pytest.mark.database("sqlite")

NUMBER = 100
RESERVE = 16 * 1024 * 1024
JSON = {"Content-Type": "application/json"}
PASSWORD = "tractor-lemon-42-umbrella"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(mounted(tmp_path / "disk", 40))
        except OSError as error:
            pytest.skip(f"can't mount a disk: {error}")
        yield disk


@pytest.fixture
def server(disk: SmallDisk) -> RealServer:
    # Everything is on the full disk: the log, and temporary files of SQLite and of the server.
    variables = {"APIDEVICES_DISK_RESERVE": "16", "TMPDIR": str(disk.folder)}
    return RealServer(disk.folder / "instance", variables=variables)


def count(responses: Iterable[Response]) -> Counter[int]:
    return Counter(response.status for response in responses)


def upload(server: RealServer, token: str, identifier: str) -> Response:
    body = b'"' + b"x" * 100_000 + b'"'
    return server.call("POST", UPLOADS, as_device(token, identifier) | JSON, body)


def register(server: RealServer, token: str, identifier: str) -> Response:
    return server.call("GET", VERIFY, as_device(token, identifier))


def readiness(server: RealServer) -> tuple[int, str]:
    response = server.call("GET", "/readyz")
    return response.status, response.body.decode()


def submit(server: RealServer, path: str, **fields: str) -> Response:
    """Fill in the form on a page, without a session."""
    page = server.call("GET", path)
    [token] = set(re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', page.body.decode()))
    headers = {"Content-Type": "application/x-www-form-urlencoded"} | cookie(page)
    return server.call("POST", path, headers, urlencode({"csrf_token": token} | fields).encode())


def cookie(response: Response) -> dict[str, str]:
    return {"Cookie": response.headers["Set-Cookie"].partition(";")[0]}


@pytest.fixture
def db(databases: Databases, migrated: Variables, server: RealServer) -> Iterator[Database]:
    """The server's database, with all tables."""
    databases.copy(migrated, server.instance)
    db = Database(engine_for(f"sqlite:///{server.instance}/apidevices.sqlite3"), RESERVE)
    assert db.reserve.build()
    yield db
    db.engine.dispose()


def create_token(db: Database, *scopes: str) -> str:
    return tokens.issue(db, "test", scopes, actor="the test", now=clock.now())[1]


def manage(server: RealServer, token: str, device_id: int, action: str) -> Response:
    """Block or unblock a device."""
    headers = {"Authorization": f"Bearer {token}"} | JSON
    return server.call("POST", f"{DEVICES}/{device_id}/{action}", headers, b"{}")


def test_devices_can_be_blocked_on_a_full_disk(
    db: Database, server: RealServer, disk: SmallDisk
) -> None:
    token = create_token(db)
    manager = create_token(db, "devices:write")
    db.engine.dispose()
    names = [f"phone-{number}" for number in range(NUMBER)]
    reserve = server.instance / "apidevices.sqlite3-reserve"
    account = {"email": "ann@example.com", "password": PASSWORD}
    with server:
        setup = urlsplit(server.setup_links[0]).path
        assert submit(server, setup, **account, password_again=PASSWORD).status == 303
        ids = {
            name: server.call("GET", DEVICE, as_device(token, name)).json["id"] for name in names
        }
        assert reserve.stat().st_size == RESERVE

        # Devices may use the rest of the disk, but not the reserve.
        disk.fill()
        assert count(upload(server, token, "phone-0") for _ in range(50)).keys() <= {201, 503}
        assert upload(server, token, "phone-0").status == 503
        assert count(register(server, token, name) for name in names) == {200: NUMBER}
        assert reserve.stat().st_size == RESERVE

        # An administrator signs in and blocks.
        signed_in = submit(server, "/login", **account)
        assert signed_in.status in (302, 303), signed_in.body
        page = server.call("GET", "/settings/api-devices", cookie(signed_in))
        assert (page.status, b"phone-" in page.body) == (200, True)
        blocked = count(manage(server, manager, ids[name], "block") for name in names[1:])
        assert blocked == {200: NUMBER - 1}
        done = server.flask("apidevices", "block", "phone-0")
        assert (done.returncode, done.stderr) == (0, "")

        # All blocks are in force on all workers, and devices can't use up the released space.
        for path in (VERIFY, DEVICE):
            denied = count(server.call("GET", path, as_device(token, name)) for name in names)
            assert denied == {403: NUMBER}
        assert count(register(server, token, f"late-{n}") for n in range(10)) == {503: 10}
        assert manage(server, manager, ids["phone-0"], "unblock").status == 200
        assert register(server, token, "phone-0").status == 200
        assert count(upload(server, token, "phone-0") for _ in range(10)) == {503: 10}
        assert disk.free > RESERVE // 2
        status, text = readiness(server)
        assert (status, text[:26]) == (200, "ok, but the disk is full: ")

        # Space is free again.
        disk.clear()
        assert upload(server, token, "phone-0").status == 201
        assert register(server, token, "late-0").status == 200
        assert count(register(server, token, name) for name in names[1:]) == {403: NUMBER - 1}
        assert reserve.stat().st_size == RESERVE


def test_server_starts_on_a_full_disk(db: Database, server: RealServer, disk: SmallDisk) -> None:
    token = create_token(db)
    manager = create_token(db, "devices:write")
    device_id = devices.report(
        db, DeviceIdentity("phone-1", {}), token_id=None, address=None, now=clock.now()
    ).device_id
    db.engine.dispose()  # deletes the write-ahead log, which now needs new space
    (server.instance / "secret_key").write_text("0123456789abcdef")
    disk.fill()
    with server:
        assert register(server, token, "phone-1").status == 200
        assert register(server, token, "phone-2").status == 503
        assert manage(server, manager, device_id, "block").status == 200
        assert register(server, token, "phone-1").status == 403
