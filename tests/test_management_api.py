"""What programs of administrators call, with a token that has the scope."""

import io
import re
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from apidevices.database import Database
from apidevices.models import AuditEntry
from tests.conftest import DEVICE, DEVICES, NOON, Administrator, NewToken, Register, as_device

HISTORY = f"{DEVICES}/1/history"
BLOCK = f"{DEVICES}/1/block"
UNBLOCK = f"{DEVICES}/1/unblock"
ONE = f"{DEVICES}/1"
MANY = f"{DEVICES}/block"


# --- scopes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", DEVICES, "devices:read"),
        ("GET", ONE, "devices:read"),
        ("GET", HISTORY, "devices:read"),
        ("PATCH", ONE, "devices:write"),
        ("POST", BLOCK, "devices:write"),
        ("POST", UNBLOCK, "devices:write"),
        ("POST", MANY, "devices:write"),
    ],
)
def test_each_call_needs_its_scope(
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
        body = {"name": "x"} if method == "PATCH" else {"ids": [1]} if path == MANY else None
        return client.open(path, method=method, headers=headers, json=body).status_code

    assert status() == 403
    assert status(other) == 403
    assert status(scope) == 200


def test_scope_is_judged_before_the_body_and_the_device(client: FlaskClient, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    answer = client.patch(f"{DEVICES}/99", headers=headers, data="{")
    assert answer.status_code == 403


def test_program_that_names_its_device_is_tracked_and_blocked(
    client: FlaskClient, administrator: Administrator, new_token: NewToken
) -> None:
    headers = as_device(new_token("devices:read"), "terminal-1")
    assert client.get(DEVICES, headers=headers).status_code == 200
    administrator.block("terminal-1")
    assert client.get(DEVICES, headers=headers).status_code == 403


# --- the list ----------------------------------------------------------------------------------


def test_empty_list(administrator: Administrator) -> None:
    answer = administrator.request("GET", DEVICES)
    assert answer.json == {"devices": [], "next": None}
    assert "Link" not in answer.headers


def test_list_shows_each_device_as_it_is_alone(
    administrator: Administrator, register: Register
) -> None:
    register("phone-1", model="iPhone 14")
    listed = administrator.request("GET", DEVICES).get_json()["devices"]
    assert listed == [administrator.request("GET", ONE).json]


def follow(administrator: Administrator, path: str, key: str) -> list[list[dict[str, Any]]]:
    """Return all pages, by their links."""
    pages = []
    following: str | None = path
    while following:
        answer = administrator.request("GET", following)
        assert answer.status_code == 200, answer.text
        following = answer.get_json()["next"]
        link = re.fullmatch(r'<(.+)>; rel="next"', answer.headers.get("Link", ""))
        assert (link[1] if link else None) == following
        pages.append(answer.get_json()[key])
    return pages


def test_pages_are_linked(administrator: Administrator, register: Register) -> None:
    for number in range(120):
        register(f"phone-{number:03}", NOON + timedelta(seconds=number))
    pages = follow(administrator, DEVICES, "devices")
    assert [len(page) for page in pages] == [50, 50, 20]
    listed = [device["identifier"] for page in pages for device in page]
    assert listed == [f"phone-{number:03}" for number in reversed(range(120))]


def test_pages_keep_the_filters(administrator: Administrator, register: Register) -> None:
    for number in range(60):
        register(f"phone-{number}")
        register(f"till-{number}")
    pages = follow(administrator, f"{DEVICES}?name=till-&status=active", "devices")
    assert [len(page) for page in pages] == [50, 10]
    assert all("till" in device["identifier"] for page in pages for device in page)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"Phone_1", "phone-2", "50%"}),
        ("?name=PHONE", {"Phone_1", "phone-2"}),
        ("?name=_", {"Phone_1"}),
        ("?name=%25", {"50%"}),
        ("?name=%20phone-2%20", {"phone-2"}),
        ("?name=%00", {"Phone_1", "phone-2", "50%"}),
        ("?status=all", {"Phone_1", "phone-2", "50%"}),
        ("?status=active", {"Phone_1", "50%"}),
        ("?status=blocked", {"phone-2"}),
        ("?name=phone&status=blocked", {"phone-2"}),
    ],
)
def test_list_is_filtered(
    administrator: Administrator, register: Register, query: str, found: set[str]
) -> None:
    for identifier in ("Phone_1", "phone-2", "50%"):
        register(identifier)
    administrator.block("phone-2")
    assert {device["identifier"] for device in administrator.devices(query)} == found


@pytest.mark.parametrize(
    "path",
    [
        f"{DEVICES}?status=asleep",
        f"{DEVICES}?status=",
        f"{DEVICES}?cursor=nonsense",
        f"{DEVICES}?cursor=older-1-99999999999999999999",
        f"{DEVICES}?page=2",
        f"{HISTORY}?cursor=nonsense",
        f"{HISTORY}?cursor=-1",
        f"{HISTORY}?cursor=9223372036854775808",
        f"{HISTORY}?before=1",
    ],
)
def test_wrong_parameter_is_refused(
    administrator: Administrator, register: Register, path: str
) -> None:
    register("phone-1")
    answer = administrator.request("GET", path)
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (422, "invalid_request")


# --- one device --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{DEVICES}/7"),
        ("GET", f"{DEVICES}/7/history"),
        ("PATCH", f"{DEVICES}/7"),
        ("POST", f"{DEVICES}/7/block"),
        ("POST", f"{DEVICES}/7/unblock"),
        ("GET", f"{DEVICES}/9223372036854775807"),
        ("GET", f"{DEVICES}/9223372036854775808"),
        ("GET", f"{DEVICES}/phone-1"),
        ("GET", f"{DEVICES}/-1"),
    ],
)
def test_unknown_device_is_not_found(administrator: Administrator, method: str, path: str) -> None:
    body = {"name": "x"} if method == "PATCH" else None
    answer = administrator.request(method, path, json=body)
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (404, "not_found")


def test_history_is_paged_newest_first(administrator: Administrator, register: Register) -> None:
    for version in range(120):
        register("phone-1", application_version=str(version))
    pages = follow(administrator, HISTORY, "history")
    assert [len(page) for page in pages] == [50, 50, 20]
    reported = [entry["changes"]["application_version"]["new"] for page in pages for entry in page]
    assert reported == [str(version) for version in reversed(range(120))]


# --- renaming ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stored", "shown"),
    [
        pytest.param("Box Office", "Box Office", "Box Office", id="text"),
        pytest.param("  Box\n Office ", "Box Office", "Box Office", id="cleaned"),
        pytest.param("红米 📱", "红米 📱", "红米 📱", id="any alphabet"),
        pytest.param("", None, "phone-1", id="empty"),
        pytest.param(None, None, "phone-1", id="null"),
    ],
)
def test_device_is_renamed(
    administrator: Administrator,
    register: Register,
    name: str | None,
    stored: str | None,
    shown: str,
) -> None:
    register("phone-1")
    answer = administrator.request("PATCH", ONE, json={"name": name}).get_json()
    assert (answer["name"], answer["display_name"]) == (stored, shown)
    assert administrator.request("GET", ONE).json == answer


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b'{"name": "%s"}' % (b"x" * 256), 422, id="too long"),
        pytest.param(b'{"name": 7}', 422, id="number"),
        pytest.param(b'{"name": "a\\ud800b"}', 422, id="half a character"),
        pytest.param(b'{"name": NaN}', 422, id="NaN"),
        pytest.param(b"{}", 422, id="missing"),
        pytest.param(b'{"name": "x", "status": "blocked"}', 422, id="unknown field"),
        pytest.param(b"[]", 422, id="no object"),
        pytest.param(b"null", 422, id="null"),
        pytest.param(b"", 400, id="empty body"),
        pytest.param(b"{", 400, id="broken JSON"),
        pytest.param(b'{"name": "\xff"}', 400, id="not UTF-8"),
        pytest.param(b"[" * 100_000, 400, id="nested too deeply"),
        pytest.param(b'{"name": %s}' % (b"9" * 5_000), 400, id="endless number"),
    ],
)
def test_wrong_name_changes_nothing(
    administrator: Administrator, register: Register, body: bytes, status: int
) -> None:
    register("phone-1")
    answer = administrator.request("PATCH", ONE, data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (status, "invalid_request")
    assert administrator.device()["name"] is None


def test_name_is_sent_as_json(administrator: Administrator, register: Register) -> None:
    register("phone-1")
    answer = administrator.request("PATCH", ONE, data={"name": "x"})
    assert answer.status_code == 415


# --- blocking ----------------------------------------------------------------------------------


def test_device_is_blocked_with_a_reason(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    answer = administrator.request("POST", BLOCK, json={"reason": "stolen"}).get_json()
    assert (answer["status"], answer["block_reason"]) == ("blocked", "stolen")
    assert client.get(DEVICE, headers=as_device(token)).status_code == 403


def test_device_is_blocked_without_a_body(administrator: Administrator, register: Register) -> None:
    register("phone-1")
    answer = administrator.request("POST", BLOCK).get_json()
    assert (answer["status"], answer["block_reason"]) == ("blocked", None)


def test_reason_in_a_chunked_body_is_kept(administrator: Administrator, register: Register) -> None:
    register("phone-1")
    answer = administrator.request(
        "POST",
        BLOCK,
        input_stream=io.BytesIO(b'{"reason": "stolen"}'),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    ).get_json()
    assert answer["block_reason"] == "stolen"


def test_blocking_and_unblocking_again_change_nothing(
    administrator: Administrator, register: Register
) -> None:
    register("phone-1")
    first = administrator.request("POST", BLOCK, json={"reason": "stolen"}).json
    assert administrator.request("POST", BLOCK, json={"reason": "lost"}).json == first
    unblocked = administrator.request("POST", UNBLOCK).get_json()
    assert (unblocked["status"], unblocked["blocked_at"]) == ("active", None)
    assert unblocked["block_reason"] is None
    assert administrator.request("POST", UNBLOCK).json == unblocked


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b'{"reason": "%s"}' % (b"x" * 1001), 422, id="too long"),
        pytest.param(b'{"reason": 7}', 422, id="number"),
        pytest.param(b'{"because": "x"}', 422, id="unknown field"),
        pytest.param(b"{", 400, id="broken JSON"),
    ],
)
def test_wrong_reason_changes_nothing(
    administrator: Administrator, register: Register, body: bytes, status: int
) -> None:
    register("phone-1")
    answer = administrator.request("POST", BLOCK, data=body, content_type="application/json")
    assert answer.status_code == status
    assert administrator.device()["status"] == "active"


def test_the_record_names_the_token(
    administrator: Administrator, db: Database, register: Register
) -> None:
    register("phone-1")
    administrator.block()
    with db.read() as session:
        query = select(AuditEntry.actor).where(AuditEntry.action == "device.blocked")
        assert session.scalar(query) == "token administrator"


# --- only if nobody else has -------------------------------------------------------------------

CHANGES = [
    pytest.param("PATCH", ONE, {"name": "West door"}, id="rename"),
    pytest.param("POST", BLOCK, {"reason": "lost"}, id="block"),
    pytest.param("POST", UNBLOCK, None, id="unblock"),
]


def tag(administrator: Administrator) -> str:
    return administrator.request("GET", ONE).headers["ETag"]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_change_is_made_if_nobody_else_has(
    administrator: Administrator, register: Register, method: str, path: str, body: Any
) -> None:
    register("phone-1")
    answer = administrator.request(method, path, json=body, if_match=tag(administrator))
    assert answer.status_code == 200
    assert answer.headers["ETag"] == tag(administrator)


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_change_is_not_made_if_somebody_else_has(
    administrator: Administrator, register: Register, method: str, path: str, body: Any
) -> None:
    register("phone-1")
    seen = tag(administrator)
    administrator.rename("East door")
    administrator.block()
    before = administrator.device()
    answer = administrator.request(method, path, json=body, if_match=seen)
    assert (answer.status_code, answer.get_json()["code"]) == (412, "precondition_failed")
    assert administrator.device() == before


@pytest.mark.parametrize("condition", ["*", '"x", {}'])
def test_condition_may_be_any_or_several(
    administrator: Administrator, register: Register, condition: str
) -> None:
    register("phone-1")
    wanted = condition.format(tag(administrator))
    assert administrator.request("POST", BLOCK, if_match=wanted).status_code == 200


@pytest.mark.parametrize("condition", [",", '"', "W/"])
def test_condition_that_can_t_be_read_does_not_hold(
    administrator: Administrator, register: Register, condition: str
) -> None:
    register("phone-1")
    assert administrator.request("POST", BLOCK, if_match=condition).status_code == 412


def test_what_a_device_does_is_no_change(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    seen = tag(administrator)
    client.post(DEVICE, headers=as_device(token, model="Pixel 9"))
    assert administrator.device()["model"] == "Pixel 9"
    assert tag(administrator) == seen


# --- many at once ------------------------------------------------------------------------------


def test_devices_are_blocked_all_at_once(
    administrator: Administrator, register: Register, db: Database
) -> None:
    ids = [register(f"phone-{number}") for number in range(3)]
    for _ in range(2):
        answer = administrator.request("POST", MANY, json={"ids": [*ids, 99], "reason": "stolen"})
        assert answer.json == {"blocked": ids, "not_found": [99]}
    blocked = administrator.devices("?status=blocked")
    assert {(device["id"], device["block_reason"]) for device in blocked} == {
        (device_id, "stolen") for device_id in ids
    }
    with db.read() as session:
        assert len(session.scalars(select(AuditEntry)).all()) >= len(ids)


def test_device_that_was_blocked_stays_as_it_was(
    administrator: Administrator, register: Register
) -> None:
    ids = [register(f"phone-{number}") for number in range(2)]
    administrator.block("phone-0")
    before = administrator.device("phone-0")
    administrator.request("POST", MANY, json={"ids": ids, "reason": "stolen"})
    assert administrator.device("phone-0") == before


@pytest.mark.parametrize(
    "body",
    [{}, {"ids": []}, {"ids": ["1"]}, {"ids": [-1]}, {"ids": [True]}, {"ids": [1] * 1001}],
)
def test_ids_that_can_t_be_any_block_nothing(
    administrator: Administrator, register: Register, body: Any
) -> None:
    register("phone-1")
    answer = administrator.request("POST", MANY, json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_request")
    assert administrator.devices("?status=blocked") == []
