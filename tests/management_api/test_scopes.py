"""Requests to the management API need a token with the right scope."""

import pytest
from flask.testing import FlaskClient

from tests.conftest import DEVICES, Administrator, NewToken, Register, as_device
from tests.management_api.conftest import BLOCK, BULK_BLOCK, HISTORY, ONE, UNBLOCK


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", DEVICES, "devices:read"),
        ("GET", ONE, "devices:read"),
        ("GET", HISTORY, "devices:read"),
        ("PATCH", ONE, "devices:write"),
        ("POST", BLOCK, "devices:write"),
        ("POST", UNBLOCK, "devices:write"),
        ("POST", BULK_BLOCK, "devices:write"),
    ],
)
def test_operation_needs_its_scope(
    client: FlaskClient,
    register: Register,
    new_token: NewToken,
    method: str,
    path: str,
    scope: str,
) -> None:
    register("phone-1")
    other = {"devices:read": "devices:write", "devices:write": "devices:read"}[scope]

    def status(*scopes: str) -> int:
        headers = {"Authorization": f"Bearer {new_token(*scopes)}"}
        body = {"name": "x"} if method == "PATCH" else {"ids": [1]} if path == BULK_BLOCK else None
        return client.open(path, method=method, headers=headers, json=body).status_code

    assert status() == 403
    assert status(other) == 403
    assert status(scope) == 200


def test_scope_is_checked_before_body_and_device(client: FlaskClient, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    response = client.patch(f"{DEVICES}/99", headers=headers, data="{")
    assert response.status_code == 403


def test_management_client_with_device_header_can_be_blocked(
    client: FlaskClient, administrator: Administrator, new_token: NewToken
) -> None:
    headers = as_device(new_token("devices:read"), "terminal-1")
    assert client.get(DEVICES, headers=headers).status_code == 200
    administrator.block("terminal-1")
    assert client.get(DEVICES, headers=headers).status_code == 403
