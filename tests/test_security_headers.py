"""Security headers of every kind of response, over HTTP and over HTTPS."""

import pytest
from flask.testing import FlaskClient

from tests.conftest import DEVICE, DEVICES, VERIFY, MakeApp, NewToken, as_device

STATIC = "/settings/api-devices/static/app.css"
HTTPS = {"X-Forwarded-Proto": "https"}
HSTS = "Strict-Transport-Security"

RESPONSES = [
    ("GET", "/login", 200),
    ("GET", "/nowhere", 404),
    ("GET", STATIC, 200),
    ("GET", DEVICE, 200),
    ("PUT", DEVICE, 405),
    ("GET", DEVICES, 403),
    ("GET", "/api/openapi.json", 200),
    ("GET", "/api/v1/nowhere", 404),
    ("GET", "/readyz", 200),
    ("GET", "/livez", 200),
    ("GET", "/metrics", 403),
]

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture
def proxied(make_app: MakeApp) -> FlaskClient:
    """A client behind a trusted proxy."""
    return make_app(APIDEVICES_PROXIES="1").test_client()


@pytest.mark.parametrize(("method", "path", "status"), RESPONSES)
def test_every_response_over_https_has_security_headers(
    proxied: FlaskClient, token: str, method: str, path: str, status: int
) -> None:
    response = proxied.open(path, method=method, headers=as_device(token) | HTTPS, buffered=True)
    assert response.status_code == status
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert response.headers[HSTS] == "max-age=63072000"


@pytest.mark.parametrize("proxies", ["0", "1"])
def test_response_over_http_has_no_hsts(make_app: MakeApp, proxies: str) -> None:
    headers = HTTPS if proxies == "0" else {}  # not believed without a proxy
    response = make_app(APIDEVICES_PROXIES=proxies).test_client().get("/login", headers=headers)
    assert HSTS not in response.headers


@pytest.mark.parametrize("path", [DEVICE, DEVICES, f"{DEVICES}/0", "/api/v1/nowhere"])
def test_api_responses_are_not_stored(client: FlaskClient, new_token: NewToken, path: str) -> None:
    response = client.get(path, headers=as_device(new_token("devices:read")))
    assert response.headers["Cache-Control"] == "no-store"


def test_unchanged_static_file_has_nosniff(client: FlaskClient) -> None:
    tag = client.get(STATIC, buffered=True).headers["ETag"]
    response = client.get(STATIC, headers={"If-None-Match": tag}, buffered=True)
    assert response.status_code == 304
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("cors", ["", "https://app.example.com"])
def test_gate_leaves_hsts_and_corp_to_the_api_behind_it(make_app: MakeApp, cors: str) -> None:
    client = make_app(APIDEVICES_PROXIES="1", APIDEVICES_CORS_ORIGINS=cors).test_client()
    response = client.get(VERIFY, headers=HTTPS)
    assert response.status_code == 401
    assert (response.headers["X-Content-Type-Options"], response.headers["Cache-Control"]) == (
        "nosniff",
        "no-store",
    )
    assert not {HSTS, "Cross-Origin-Resource-Policy"} & set(response.headers.keys())
