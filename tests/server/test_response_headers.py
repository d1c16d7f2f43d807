"""Security headers of responses that the server sends without Flask, and HTTPS behind nginx."""

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPSHandler, build_opener

import pytest

from harness.proxies import program
from harness.real_server import ROOT, RealServer, free_port, launch, terminating, wait_until
from tests.conftest import VERIFY, StartServer, as_device

ANN, PASSWORD = "ann@example.org", "correct horse battery staple"
NO_SNIFF = "X-Content-Type-Options"


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: x", 200),
        (b"GET /verify HTTP/1.1\r\nHost: x", 401),
        (b"NONSENSE", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 150_000, 431),
    ],
    ids=["livez", "gate", "malformed", "too large"],
)
def test_response_without_flask_has_nosniff_once(
    server: RealServer, request_line: bytes, status: int
) -> None:
    response = server.send(request_line + b"\r\nConnection: close\r\n\r\n")
    assert response.status == status
    assert response.headers.get_all(NO_SNIFF) == ["nosniff"]


@pytest.mark.database("sqlite")
def test_allowing_gate_response_is_not_cached(server: RealServer, token: str) -> None:
    response = server.call("GET", VERIFY, as_device(token))
    assert response.status == 200
    assert response.headers.get_all("Cache-Control") == ["no-store"]
    assert response.headers.get_all(NO_SNIFF) == ["nosniff"]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nginx(server: RealServer, folder: Path) -> Iterator[str]:
    """Run nginx with the configuration in the documentation. Yield its HTTPS URL."""
    certificate, key, port = folder / "certificate.pem", folder / "key.pem", free_port()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    documentation = (ROOT / "docs/operations.md").read_text()
    documented = re.search(r"^ +```nginx\n(.*?)^ +```", documentation, re.DOTALL | re.MULTILINE)
    assert documented is not None
    site = documented[1]
    for original, replacement in {
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "http://127.0.0.1:8000": server.url,
        "/etc/ssl/certs/devices.example.com.pem": str(certificate),
        "/etc/ssl/private/devices.example.com.key": str(key),
    }.items():
        assert original in site
        site = site.replace(original, replacement)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind}; " for kind in kinds)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;"
        f" events {{}} http {{ access_log off; {paths} {site} }}"
    )
    process = launch([program("nginx") or "nginx", "-c", configuration], folder / "log")
    with terminating(process):
        wait_until(lambda: listens(port))
        yield f"https://127.0.0.1:{port}"


@pytest.mark.database("sqlite")
def test_sign_in_behind_the_documented_nginx_uses_a_host_cookie(
    make_server: StartServer, tmp_path: Path
) -> None:
    if program("nginx") is None:
        pytest.skip("nginx is not installed")
    with make_server(APIDEVICES_PROXIES="1") as server, nginx(server, tmp_path) as url:
        trusted = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
        opener = build_opener(HTTPSHandler(context=trusted), HTTPCookieProcessor())
        with opener.open(f"{url}/livez") as alive, opener.open(f"{url}/login") as login:
            for response in (alive, login):
                assert response.headers["Strict-Transport-Security"] == "max-age=63072000"
            cookie = login.headers["Set-Cookie"]
            page = login.read().decode()
        server.flask("apidevices", "create-user", ANN, "--password-stdin", stdin=PASSWORD)
        token = re.search(r'name="csrf_token" value="(.+?)"', page)
        assert token is not None
        form = urlencode({"csrf_token": token[1], "email": ANN, "password": PASSWORD}).encode()
        opener.addheaders = [("Referer", f"{url}/login")]  # Flask-WTF requires it over HTTPS
        with opener.open(f"{url}/login", form) as devices:
            assert devices.url == f"{url}/settings/api-devices"
    assert cookie.startswith("__Host-apidevices_session=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
