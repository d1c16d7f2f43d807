"""gunicorn with threads, for deployments that can't use another server."""

import sys
from pathlib import Path

import pytest

from harness.databases import Databases
from harness.real_server import ROOT, RealServer
from tests.conftest import DEVICE, as_device

PROGRAM = (sys.executable, "-m", "gunicorn", "--threads=8", f"--chdir={ROOT}", "app:create_app()")


@pytest.mark.database("sqlite")
def test_gate_and_api_work_with_gunicorn_threads(databases: Databases, tmp_path: Path) -> None:
    instance = tmp_path / "instance"
    variables = databases.empty(instance)
    server = RealServer(instance, program=PROGRAM, variables=variables)
    assert server.flask("db", "upgrade").returncode == 0
    with server:
        token = server.create_token()
        assert server.call("GET", DEVICE, as_device(token, "phone-1")).status == 200
        allowed = server.call("GET", "/verify", as_device(token, "phone-1"))
        assert (allowed.status, allowed.headers["X-Device-Id"]) == (200, "phone-1")
        assert server.flask("apidevices", "block", "phone-1").returncode == 0
        denied = server.call("GET", "/verify", as_device(token, "phone-1"))
        assert (denied.status, denied.json["code"]) == (403, "device_blocked")
    databases.drop(variables)
