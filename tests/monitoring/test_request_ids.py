"""Every response has a request id. Only trusted proxies may choose it."""

import pytest
from flask.testing import FlaskClient

from apidevices.standalone import request_ids
from tests.conftest import DEVICE, MakeApp, NewToken, as_device

PATHS = ["/livez", "/readyz", "/metrics", "/verify", DEVICE, "/api/none", "/none", "/settings/"]


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("path", PATHS)
def test_response_has_a_new_id(client: FlaskClient, path: str) -> None:
    ids = [client.get(path).headers.getlist("X-Request-ID") for _ in range(2)]
    [[first], [second]] = ids
    assert first != second
    assert len(first) == len(second) == 32


def test_id_of_the_client_is_ignored_without_a_proxy(client: FlaskClient) -> None:
    response = client.get(DEVICE, headers={"X-Request-ID": "forged"})
    assert response.headers["X-Request-ID"] != "forged"


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("path", PATHS)
def test_id_of_a_trusted_proxy_is_kept(make_app: MakeApp, path: str) -> None:
    client = make_app(APIDEVICES_PROXIES="1").test_client()
    response = client.get(path, headers={"X-Request-ID": "proxy:1/aB+c=_~@.-"})
    assert response.headers.getlist("X-Request-ID") == ["proxy:1/aB+c=_~@.-"]


@pytest.mark.parametrize("sent", ["", "a b", "a,b", "a\tb", "é", "a\x7f", "x" * 129, "<b>", "a\n"])
def test_invalid_id_of_a_proxy_is_replaced(sent: str) -> None:
    environ = {"HTTP_X_REQUEST_ID": sent}
    assert len(request_ids.identify(environ, trusted=True)) == 32


def test_id_with_the_maximum_length_is_kept() -> None:
    environ = {"HTTP_X_REQUEST_ID": "x" * 128}
    assert request_ids.identify(environ, trusted=True) == "x" * 128


def test_no_id_is_current_after_a_request(client: FlaskClient) -> None:
    client.get(DEVICE)
    assert request_ids.current.get() is None


def test_allowed_request_of_the_gate_has_an_id_for_the_api(
    client: FlaskClient, new_token: NewToken
) -> None:
    response = client.get("/verify", headers=as_device(new_token()))
    assert response.status_code == 200
    assert len(response.headers["X-Request-ID"]) == 32
