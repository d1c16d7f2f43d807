"""What the application lets in is recorded, and no more."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient

from apidevices import APIDevices, devices
from tests.conftest import state_of
from tests.host.conftest import KEY, ORDERS, Close, known, make_app, phone


def test_request_with_success_registers_its_device(app: Flask, client: FlaskClient) -> None:
    assert client.get(f"{ORDERS}/", headers=phone()).status_code == 200
    assert known(app) == ["phone-1"]


@pytest.mark.parametrize("path", [f"{ORDERS}/", f"{ORDERS}/mine", "/shop/api/nothing"])
def test_request_that_the_application_refuses_leaves_no_trace(
    app: Flask, client: FlaskClient, path: str
) -> None:
    assert client.get(path, headers={"X-Device-ID": "phone-1"}).status_code in (401, 404)
    assert known(app) == []


@pytest.mark.parametrize("status", [302, 400, 403, 404, 422, 500])
def test_request_without_success_leaves_no_trace(
    app: Flask, client: FlaskClient, status: int
) -> None:
    assert client.get(f"{ORDERS}/{status}", headers=phone()).status_code == status
    assert known(app) == []


def test_view_knows_a_device_with_its_first_request(client: FlaskClient) -> None:
    answer = client.get(f"{ORDERS}/mine", headers=phone(**{"X-Device-Model": "Pixel 9"}))
    assert answer.json == {"device": [1, "phone-1", "Pixel 9"]}


def test_view_knows_when_no_device_was_named(client: FlaskClient) -> None:
    assert client.get(f"{ORDERS}/mine", headers=KEY).json == {"device": None}


@pytest.mark.parametrize("name", ["current", "caller"])
def test_property_of_old_still_works_and_warns(url: str, closing: Close, name: str) -> None:
    extension = APIDevices(db=url)
    app = make_app(extension, closing)

    @app.get("/api/who")
    def who() -> str:
        return str(getattr(extension, name).identifier)

    with pytest.warns(DeprecationWarning, match=r"\ACall current_\w+\(\) instead"):
        assert app.test_client().get("/api/who", headers=phone()).text == "phone-1"


def test_changed_details_are_kept_without_a_token(app: Flask, client: FlaskClient) -> None:
    for model in ("Pixel 8", "Pixel 9"):
        client.get(f"{ORDERS}/", headers=phone(**{"X-Device-Model": model}))
    [changed, registered] = devices.history(state_of(app).db, 1)
    assert changed.changes == {"model": ["Pixel 8", "Pixel 9"]}
    assert changed.token is registered.token is None


def test_post_is_an_upload(app: Flask, client: FlaskClient) -> None:
    client.post(f"{ORDERS}/", headers=phone())
    state_of(app).activity.flush()
    activity = devices.get(state_of(app).db, 1).activity
    assert activity.last_upload_at == activity.last_active_at is not None


@pytest.mark.parametrize("path", ["later", "goods"])
def test_any_kind_of_view_is_protected(app: Flask, client: FlaskClient, path: str) -> None:
    # In a thread of its own: an async view can't run beside the loop that a browser test leaves.
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(client.get, f"{ORDERS}/{path}", headers=phone())
        assert asked.result().status_code == 200
    assert known(app) == ["phone-1"]


def test_identifier_that_can_t_be_one_is_refused(client: FlaskClient) -> None:
    answer = client.get(f"{ORDERS}/", headers=phone("a,b"))
    assert (answer.status_code, answer.get_json()["code"]) == (400, "device_id_invalid")


def test_options_that_flask_answers_leave_no_trace(app: Flask, client: FlaskClient) -> None:
    answer = client.options("/shop/open/stock", headers={"X-Device-ID": "phone-1"})
    assert answer.status_code == 200
    assert known(app) == []


def test_request_leaves_nothing_to_the_next_one(app: Flask, client: FlaskClient) -> None:
    with app.app_context():  # as a test suite may have it around everything
        client.get(f"{ORDERS}/401", headers=phone())
        assert client.get("/shop/who").json == {"device": None}
    assert known(app) == []
