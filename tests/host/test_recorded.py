"""Requests are recorded only if the host application accepts them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import APIDevices, devices
from apidevices.calls import Caller
from tests.conftest import state_of
from tests.host.conftest import KEY, ORDERS, Close, known_identifiers, make_app, phone


def test_successful_request_registers_its_device(app: Flask, client: FlaskClient) -> None:
    assert client.get(f"{ORDERS}/", headers=phone()).status_code == 200
    assert known_identifiers(app) == ["phone-1"]


@pytest.mark.parametrize("path", [f"{ORDERS}/", f"{ORDERS}/mine", "/shop/api/nothing"])
def test_request_rejected_by_host_is_not_recorded(
    app: Flask, client: FlaskClient, path: str
) -> None:
    assert client.get(path, headers={"X-Device-ID": "phone-1"}).status_code in (401, 404)
    assert known_identifiers(app) == []


@pytest.mark.parametrize("status", [302, 400, 403, 404, 422, 500])
def test_unsuccessful_request_is_not_recorded(app: Flask, client: FlaskClient, status: int) -> None:
    assert client.get(f"{ORDERS}/{status}", headers=phone()).status_code == status
    assert known_identifiers(app) == []


def test_view_gets_current_device_on_its_first_request(client: FlaskClient) -> None:
    response = client.get(f"{ORDERS}/mine", headers=phone(**{"X-Device-Model": "Pixel 9"}))
    assert response.json == {"device": [1, "phone-1", "Pixel 9"]}


def test_current_device_is_none_without_identifier(client: FlaskClient) -> None:
    assert client.get(f"{ORDERS}/mine", headers=KEY).json == {"device": None}


def test_view_of_a_device_that_was_just_deleted_responds_with_503(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    current_caller = APIDevices.current_caller

    def delete_and_return(extension: APIDevices) -> Caller | None:
        caller = current_caller(extension)
        assert caller is not None
        assert caller.device_id is not None
        devices.delete(state_of(app).db, caller.device_id, actor="ann", now=caller.at)
        return caller

    with monkeypatch.context() as patch:
        patch.setattr(APIDevices, "current_caller", delete_and_return)
        response = client.get(f"{ORDERS}/mine", headers=phone())
    assert (response.status_code, "Retry-After" in response.headers) == (503, True)
    assert client.get(f"{ORDERS}/mine", headers=phone()).status_code == 200


@pytest.mark.parametrize("name", ["current", "caller"])
def test_deprecated_property_works_and_warns(url: str, closing: Close, name: str) -> None:
    extension = APIDevices(db=url)
    app = make_app(extension, closing)

    @app.get("/api/who")
    def who() -> str:
        return str(getattr(extension, name).identifier)

    with pytest.warns(DeprecationWarning, match=r"\ACall current_\w+\(\) instead"):
        assert app.test_client().get("/api/who", headers=phone()).text == "phone-1"


def test_changed_details_are_recorded_without_a_token(app: Flask, client: FlaskClient) -> None:
    for model in ("Pixel 8", "Pixel 9"):
        client.get(f"{ORDERS}/", headers=phone(**{"X-Device-Model": model}))
    [changed, registered] = devices.history(state_of(app).db, 1)
    assert changed.changes == {"model": ["Pixel 8", "Pixel 9"]}
    assert changed.token is registered.token is None


def test_post_counts_as_upload(app: Flask, client: FlaskClient) -> None:
    client.post(f"{ORDERS}/", headers=phone())
    state_of(app).activity.flush()
    activity = devices.get(state_of(app).db, 1).activity
    assert activity.last_upload_at == activity.last_active_at is not None


@pytest.mark.parametrize("path", ["later", "goods"])
def test_async_and_class_based_views_are_recorded(
    app: Flask, client: FlaskClient, path: str
) -> None:
    # Async views need a thread without an event loop; browser tests leave one in this thread.
    with ThreadPoolExecutor() as threads:
        response = threads.submit(client.get, f"{ORDERS}/{path}", headers=phone())
        assert response.result().status_code == 200
    assert known_identifiers(app) == ["phone-1"]


def test_invalid_identifier_gets_400(client: FlaskClient) -> None:
    response = client.get(f"{ORDERS}/", headers=phone("a,b"))
    assert (response.status_code, response.get_json()["code"]) == (400, "device_id_invalid")


def test_automatic_options_response_is_not_recorded(app: Flask, client: FlaskClient) -> None:
    response = client.options("/shop/open/stock", headers={"X-Device-ID": "phone-1"})
    assert response.status_code == 200
    assert known_identifiers(app) == []


def test_request_state_does_not_leak_into_the_next_request(app: Flask, client: FlaskClient) -> None:
    with app.app_context():  # test suites may keep an application context open
        client.get(f"{ORDERS}/401", headers=phone())
        assert client.get("/shop/who").json == {"device": None}
    assert known_identifiers(app) == []
