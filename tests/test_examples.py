"""The example applications: a box office, and a host whose names collide with API Devices."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import inspect, text

from examples.box_office import app as box_office
from examples.colliding_host import app as colliding_host
from harness.real_server import ROOT, clean_environment, free_port, launch, wait_until
from tests.conftest import state_of
from tests.pages.visitor import Visitor

LIST = "/settings/api-devices"


# --- the box office ----------------------------------------------------------------------------

SCANNER = {"X-API-Key": "scan-me", "X-Device-ID": "scanner-7", "X-Device-Model": "Zebra TC58"}


@pytest.fixture
def office(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setenv("DATABASE_URL", url)
    app = box_office.create_app()
    yield app
    state_of(app).close()


@pytest.fixture
def scanner(office: Flask) -> FlaskClient:
    return office.test_client()


@pytest.fixture
def ada(office: Flask) -> Visitor:
    """The administrator, signed in at the box office."""
    client = office.test_client()
    form = client.get("/login").text
    token = form.partition('name="csrf_token" value="')[2].partition('"')[0]
    data = {"csrf_token": token, "name": "ada", "password": "tickets"}
    assert client.post("/login", data=data).location == LIST
    return Visitor(client)


def scan(scanner: FlaskClient, ticket: str) -> Any:
    return scanner.post(f"/api/tickets/{ticket}/scan", headers=SCANNER)


def test_scanner_can_be_renamed_blocked_and_unblocked(scanner: FlaskClient, ada: Visitor) -> None:
    assert scan(scanner, "ticket-1").json == {"ticket": "ticket-1", "used_by": "scanner-7"}
    ada.change(f"{LIST}/1", "/name", name="West door")
    ada.change(f"{LIST}/1", "/block", reason="Lost")
    assert scan(scanner, "ticket-2").get_json()["code"] == "device_blocked"
    ada.change(f"{LIST}/1", "/unblock")
    assert scan(scanner, "ticket-2").json == {"ticket": "ticket-2", "used_by": "West door"}


def test_block_names_the_box_office_user_as_actor(scanner: FlaskClient, ada: Visitor) -> None:
    scan(scanner, "ticket-1")
    ada.change(f"{LIST}/1", "/block")
    assert "by ada" in ada.get(f"{LIST}/1").text


def test_request_without_the_api_key_registers_no_device(
    scanner: FlaskClient, ada: Visitor
) -> None:
    response = scanner.post("/api/tickets/ticket-1/scan", headers={"X-Device-ID": "x"})
    assert response.status_code == 401
    assert "No devices yet" in ada.get(LIST).text


def test_box_office_visitor_who_is_not_signed_in_gets_403(office: Flask) -> None:
    assert office.test_client().get(LIST).status_code == 403


def test_blocked_scanner_can_call_the_exempt_health_check(
    scanner: FlaskClient, ada: Visitor
) -> None:
    scan(scanner, "ticket-1")
    ada.change(f"{LIST}/1", "/block")
    assert scan(scanner, "ticket-2").status_code == 403
    assert scanner.get("/api/health", headers=SCANNER).json == {"ok": True}


def test_box_office_starts_with_one_command(tmp_path: Path) -> None:
    port = free_port()
    variables = {"PORT": str(port), "DATABASE_URL": f"sqlite:///{tmp_path}/office.sqlite3"}
    process = launch(
        [sys.executable, ROOT / "examples" / "box_office" / "app.py"],
        tmp_path / "log",
        cwd=tmp_path,
        env=clean_environment(**variables),
    )
    try:
        wait_until(lambda: "Running on" in (tmp_path / "log").read_text())
        with urlopen(f"http://127.0.0.1:{port}/login") as response:
            assert response.status == 200
    finally:
        process.terminate()
        process.wait()


# --- the colliding host ------------------------------------------------------------------------


@pytest.fixture
def host(url: str) -> Iterator[Flask]:
    app = colliding_host.create_app(url)
    yield app
    state_of(app).close()


@pytest.fixture
def visitor(host: Flask) -> Visitor:
    client = host.test_client()
    client.environ_base["HTTP_X_ADMIN"] = "yes"
    client.get("/api/devices", headers={"X-Device-ID": "phone-1"})
    return Visitor(client)


@pytest.mark.parametrize("path", ["", "/1", "/1/history"])
def test_admin_pages_do_not_use_templates_of_the_colliding_host(
    visitor: Visitor, path: str
) -> None:
    page = visitor.get(f"{LIST}{path}")
    assert page.status == 200
    assert "phone-1" in page.text
    assert "the host's" not in page.html


def test_rename_and_block_work_in_the_colliding_host(visitor: Visitor) -> None:
    visitor.change(f"{LIST}/1", "/name", htmx=True, name="West door")
    response = visitor.change(f"{LIST}/1", "/block", htmx=True)
    assert "“West door” is blocked." in response.announced
    denied = visitor.client.get("/api/devices", headers={"X-Device-ID": "phone-1"})
    assert denied.get_json()["code"] == "device_blocked"


def test_form_without_csrf_token_gets_400_in_the_colliding_host(visitor: Visitor) -> None:
    assert visitor.client.post(f"{LIST}/1/block").status_code == 400


def test_host_and_extension_serve_their_own_static_files(visitor: Visitor) -> None:
    page = visitor.get(LIST)
    for link in page.root.all("link", rel="stylesheet"):
        assert ".apidevices {" in visitor.client.get(link["href"], buffered=True).text
    for address in ("/settings/static/app.css", "/static/app.css"):
        assert visitor.client.get(address).text == "/* the host's app.css */"


def test_host_keeps_its_own_pages_and_errors(visitor: Visitor) -> None:
    assert visitor.client.get("/settings/").text == "The host's template page.html: the host&#39;s"
    assert visitor.client.get("/nothing").text == "Host error 404."
    assert visitor.client.get("/api/devices").json == {"owner": "the host's"}


def test_unauthorized_visitor_gets_the_error_page_of_the_host(host: Flask) -> None:
    assert host.test_client().get(LIST).text == "Host error 403."


@pytest.mark.parametrize("command", ["devices", "tokens", "db"])
def test_host_keeps_its_own_commands(host: Flask, command: str) -> None:
    assert host.test_cli_runner().invoke(args=[command, "list"]).output == "the host's\n"


def test_apidevices_commands_work_in_the_colliding_host(visitor: Visitor, host: Flask) -> None:
    listed = host.test_cli_runner().invoke(args=["apidevices", "list"])
    assert "phone-1" in listed.output


def test_host_keeps_its_own_tables(host: Flask) -> None:
    with host.app_context(), colliding_host.db.engine.connect() as connection:
        tables = set(inspect(connection).get_table_names())
        assert {"devices", "audit_log", "alembic_version"} <= tables
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    assert version == "host version"
