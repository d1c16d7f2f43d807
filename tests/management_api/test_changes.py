"""Rename, block and unblock a device."""

import io

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from apidevices.database import Database
from apidevices.models import AuditEntry
from tests.conftest import DEVICE, Administrator, Register, as_device
from tests.management_api.conftest import BLOCK, ONE, UNBLOCK


@pytest.mark.parametrize(
    ("name", "stored", "shown"),
    [
        pytest.param("Box Office", "Box Office", "Box Office", id="text"),
        pytest.param("  Box\n Office ", "Box Office", "Box Office", id="cleaned"),
        pytest.param("红米 📱", "红米 📱", "红米 📱", id="other scripts"),
        pytest.param("", None, "phone-1", id="empty"),
        pytest.param(None, None, "phone-1", id="null"),
    ],
)
def test_rename_returns_the_renamed_device(
    administrator: Administrator,
    register: Register,
    name: str | None,
    stored: str | None,
    shown: str,
) -> None:
    register("phone-1")
    response = administrator.request("PATCH", ONE, json={"name": name}).get_json()
    assert (response["name"], response["display_name"]) == (stored, shown)
    assert administrator.request("GET", ONE).json == response


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b'{"name": "%s"}' % (b"x" * 256), 422, id="too long"),
        pytest.param(b'{"name": 7}', 422, id="number"),
        pytest.param(b'{"name": "a\\ud800b"}', 422, id="lone surrogate"),
        pytest.param(b'{"name": NaN}', 422, id="NaN"),
        pytest.param(b"{}", 422, id="missing"),
        pytest.param(b'{"name": "x", "status": "blocked"}', 422, id="unknown field"),
        pytest.param(b"[]", 422, id="array"),
        pytest.param(b"null", 422, id="null"),
        pytest.param(b"", 400, id="empty body"),
        pytest.param(b"{", 400, id="broken JSON"),
        pytest.param(b'{"name": "\xff"}', 400, id="not UTF-8"),
        pytest.param(b"[" * 100_000, 400, id="nested too deeply"),
        pytest.param(b'{"name": %s}' % (b"9" * 5_000), 400, id="huge number"),
    ],
)
def test_invalid_rename_body_is_rejected(
    administrator: Administrator, register: Register, body: bytes, status: int
) -> None:
    register("phone-1")
    response = administrator.request("PATCH", ONE, data=body, content_type="application/json")
    assert (response.status_code, response.get_json(force=True)["code"]) == (
        status,
        "invalid_request",
    )
    assert administrator.device()["name"] is None


def test_rename_needs_a_json_content_type(administrator: Administrator, register: Register) -> None:
    register("phone-1")
    response = administrator.request("PATCH", ONE, data={"name": "x"})
    assert response.status_code == 415


def test_block_with_reason_denies_the_device(
    client: FlaskClient, administrator: Administrator, token: str
) -> None:
    client.get(DEVICE, headers=as_device(token))
    response = administrator.request("POST", BLOCK, json={"reason": "stolen"}).get_json()
    assert (response["status"], response["block_reason"]) == ("blocked", "stolen")
    assert client.get(DEVICE, headers=as_device(token)).status_code == 403


def test_block_needs_no_body(administrator: Administrator, register: Register) -> None:
    register("phone-1")
    response = administrator.request("POST", BLOCK).get_json()
    assert (response["status"], response["block_reason"]) == ("blocked", None)


def test_block_reads_reason_from_a_chunked_body(
    administrator: Administrator, register: Register
) -> None:
    register("phone-1")
    response = administrator.request(
        "POST",
        BLOCK,
        input_stream=io.BytesIO(b'{"reason": "stolen"}'),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    ).get_json()
    assert response["block_reason"] == "stolen"


def test_block_and_unblock_are_idempotent(administrator: Administrator, register: Register) -> None:
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
def test_invalid_block_body_is_rejected(
    administrator: Administrator, register: Register, body: bytes, status: int
) -> None:
    register("phone-1")
    response = administrator.request("POST", BLOCK, data=body, content_type="application/json")
    assert response.status_code == status
    assert administrator.device()["status"] == "active"


def test_audit_log_names_the_token(
    administrator: Administrator, db: Database, register: Register
) -> None:
    register("phone-1")
    administrator.block()
    with db.read() as session:
        query = select(AuditEntry.actor).where(AuditEntry.action == "device.blocked")
        assert session.scalar(query) == "token administrator"
