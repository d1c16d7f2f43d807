"""Changes with If-Match succeed only if the device has not been modified in the meantime."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conftest import DEVICE, Administrator, Register, as_device
from tests.management_api.conftest import BLOCK, ONE, UNBLOCK

CHANGES = [
    pytest.param("PATCH", ONE, {"name": "West door"}, id="rename"),
    pytest.param("POST", BLOCK, {"reason": "lost"}, id="block"),
    pytest.param("POST", UNBLOCK, None, id="unblock"),
]


def etag(administrator: Administrator) -> str:
    return administrator.request("GET", ONE).headers["ETag"]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_change_with_matching_etag_succeeds(
    administrator: Administrator, register: Register, method: str, path: str, body: Any
) -> None:
    register("phone-1")
    response = administrator.request(method, path, json=body, if_match=etag(administrator))
    assert response.status_code == 200
    assert response.headers["ETag"] == etag(administrator)


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_change_with_outdated_etag_gets_412(
    administrator: Administrator, register: Register, method: str, path: str, body: Any
) -> None:
    register("phone-1")
    outdated = etag(administrator)
    administrator.rename("East door")
    administrator.block()
    before = administrator.device()
    response = administrator.request(method, path, json=body, if_match=outdated)
    assert (response.status_code, response.get_json()["code"]) == (412, "precondition_failed")
    assert administrator.device() == before


@pytest.mark.parametrize("condition", ["*", '"x", {}'])
def test_if_match_accepts_star_and_lists(
    administrator: Administrator, register: Register, condition: str
) -> None:
    register("phone-1")
    if_match = condition.format(etag(administrator))
    assert administrator.request("POST", BLOCK, if_match=if_match).status_code == 200


@pytest.mark.parametrize("condition", [",", '"', "W/"])
def test_malformed_if_match_gets_412(
    administrator: Administrator, register: Register, condition: str
) -> None:
    register("phone-1")
    assert administrator.request("POST", BLOCK, if_match=condition).status_code == 412


def test_requests_of_the_device_do_not_change_its_etag(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    before = etag(administrator)
    client.post(DEVICE, headers=as_device(token, model="Pixel 9"))
    assert administrator.device()["model"] == "Pixel 9"
    assert etag(administrator) == before
