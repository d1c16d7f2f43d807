"""Headers that only a proxy may set have no effect, unless the server is behind proxies."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from apidevices.listing import PAGE_SIZE
from harness.databases import Databases
from harness.real_server import RealServer, Response
from tests.conftest import DEVICE, DEVICES, VERIFY, as_device
from tests.server.management import history
from tests.server_fixtures import shared_server

pytestmark = pytest.mark.database("sqlite")

# What the headers below try to set, in any part of a response.
FORGED = re.compile(rb"forged|203\.0\.113|https:", re.IGNORECASE)

TRUSTED_OF_A_PROXY = {
    "X-Forwarded-For": "203.0.113.1",
    "X-Forwarded-Host": "forged.example",
    "X-Forwarded-Proto": "https",
    "X-Request-ID": "forged",
}

NEVER_TRUSTED = {
    "SCRIPT_NAME": "/verify",
    "PATH_INFO": "/livez",
    "REMOTE_ADDR": "203.0.113.2",
    "REMOTE_USER": "forged@example.org",
    "X_Forwarded_For": "203.0.113.3",
    "HTTP_X_FORWARDED_FOR": "203.0.113.4",
    "Script-Name": "/verify",
    "Path-Info": "/livez",
    "Forwarded": "for=203.0.113.5;proto=https;host=forged.example",
    "X-Forwarded-Method": "DELETE",
    "X-Forwarded-Path": "/livez",
    "X-Forwarded-Port": "444",
    "X-Forwarded-Prefix": "/forged",
    "X-Forwarded-Protocol": "ssl",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Uri": "/livez",
    "X-Forwarded-User": "forged@example.org",
    "Front-End-Https": "on",
    "X-Scheme": "https",
    "X-Real-IP": "203.0.113.6",
    "X-Client-IP": "203.0.113.7",
    "True-Client-IP": "203.0.113.8",
    "X-HTTP-Method-Override": "DELETE",
    "X-Original-Host": "forged.example",
    "X-Original-Method": "DELETE",
    "X-Original-URI": "/livez",
    "X-Original-URL": "/livez",
    "X-Rewrite-URL": "/livez",
    "X_Device_ID": "forged",
    "X_Device_Model": "forged",
}

PATHS = [
    "/",
    "/livez",
    "/readyz",
    "/metrics",
    VERIFY,
    "/verify/livez",
    "/verify%2Flivez",
    DEVICE,
    DEVICES,
    f"{DEVICES}/",
    "/api/v1/none",
    "/login",
    "/setup/none",
    "/settings/api-devices",
    "/settings/api-devices/static/app.css",
    "/none",
]


@pytest.fixture(scope="module")
def proxied(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server behind one proxy."""
    folder = tmp_path_factory.mktemp("proxied")
    with shared_server(databases, folder, APIDEVICES_PROXIES="1") as running:
        yield running


@pytest.fixture(scope="module")
def proxied_token(proxied: RealServer) -> str:
    return proxied.create_token("test", "devices:read")


def observed(response: Response) -> dict[str, object]:
    """Return what the forged headers could change in a response."""
    names = ("Location", "Allow", "WWW-Authenticate", "Strict-Transport-Security", "X-Device-Id")
    headers = {name: response.headers[name] for name in names}
    return {"status": response.status, "size": len(response.body), **headers}


def contents(response: Response) -> bytes:
    return str(response.headers).encode() + response.body


@pytest.mark.parametrize("path", PATHS)
def test_forged_headers_change_no_response(server: RealServer, token: str, path: str) -> None:
    for credentials in ({}, as_device(token, "honest")):
        honest = server.call("GET", path, credentials)
        forged = server.call("GET", path, credentials | TRUSTED_OF_A_PROXY | NEVER_TRUSTED)
        assert observed(forged) == observed(honest)
        assert FORGED.search(contents(forged)) is FORGED.search(contents(honest)) is None


@pytest.mark.parametrize("prefix", ["/verify", "/verify/", "/livez", "/", "//verify", "verify"])
@pytest.mark.parametrize("header", ["SCRIPT_NAME", "Script-Name", "X-Script-Name", "PATH_INFO"])
def test_gate_needs_a_token_on_every_path_with_any_script_name(
    server: RealServer, header: str, prefix: str
) -> None:
    for path in ("/verify", "/verify/livez", "/verify/readyz", "/verify/login"):
        assert server.call("GET", path, {header: prefix}).status == 401


def test_address_of_a_device_is_that_of_its_connection(server: RealServer, token: str) -> None:
    sent = as_device(token, "address-1") | TRUSTED_OF_A_PROXY | NEVER_TRUSTED
    assert server.call("GET", DEVICE, sent).json["identifier"] == "address-1"
    assert server.call("GET", VERIFY, as_device(token, "address-2") | sent).status == 200
    for entry in history(server, token, "address"):
        assert entry["address"] == "127.0.0.1"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_absolute_target_gets_the_response_of_its_path(server: RealServer, method: str) -> None:
    for path in ("/livez", VERIFY, DEVICE, "/none"):
        lines = (f"{method} http://forged.example{path} HTTP/1.1", "Host: localhost", "", "")
        absolute = server.send("\r\n".join(lines).encode())
        assert observed(absolute) == observed(server.call(method, path))


@pytest.mark.parametrize("path", [DEVICE, VERIFY])
def test_proxy_reports_the_last_address_only(
    proxied: RealServer, proxied_token: str, path: str
) -> None:
    identifier = f"from{path.replace('/', '-')}"
    sent = NEVER_TRUSTED | as_device(proxied_token, identifier)
    sent["X-Forwarded-For"] = "203.0.113.1, 203.0.113.2,198.51.100.7"
    assert proxied.call("GET", path, sent).status == 200
    [entry] = history(proxied, proxied_token, identifier)
    assert entry["address"] == "198.51.100.7"


def test_proxy_sets_scheme_and_host_and_nothing_else(
    proxied: RealServer, proxied_token: str
) -> None:
    for number in range(PAGE_SIZE + 1):
        sent = as_device(proxied_token, f"proxied-{number}")
        assert proxied.call("GET", DEVICE, sent).status == 200
    sent = NEVER_TRUSTED | {
        "Authorization": f"Bearer {proxied_token}",
        "X-Forwarded-Proto": "http,https",
        "X-Forwarded-Host": "forged.example, devices.example.com",
    }
    listed: dict[str, Any] = proxied.call("GET", DEVICES, sent).json
    assert listed["next"].startswith(f"https://devices.example.com{DEVICES}?")
    for path in ("/verify/livez", "/verify"):
        assert proxied.call("GET", path, NEVER_TRUSTED).status == 401
