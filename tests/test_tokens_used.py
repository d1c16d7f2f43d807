"""The tokens that a device has used: who else uses them, and revoking them with a block."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from apidevices import audit, devices
from apidevices.database import Database
from apidevices.devices import queries
from tests.command_line import Cli
from tests.conftest import DEVICE, DEVICES, Administrator, NewToken, as_device, state_of


def use(client: FlaskClient, token: str, *identifiers: str) -> None:
    """Let devices use a token."""
    for identifier in identifiers:
        assert client.get(DEVICE, headers=as_device(token, identifier)).status_code == 200
    state_of(client.application).activity.flush()


def token_ids(db: Database, administrator: Administrator) -> list[int]:
    """Return the ids of the tokens that phone-1 has used, most recently used first."""
    return [used.token.id for used in devices.tokens_used(db, administrator.device()["id"])]


def block(administrator: Administrator, **body: Any) -> Any:
    path = f"{DEVICES}/{administrator.device()['id']}/block"
    return administrator.request("POST", path, json=body)


def test_other_devices_that_use_a_token_are_counted_up_to_a_limit(
    client: FlaskClient, db: Database, administrator: Administrator, new_token: NewToken,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    own, shared = new_token(name="own"), new_token(name="shared")
    use(client, shared, "phone-1", "phone-2", "phone-3", "phone-4")
    use(client, own, "phone-1")

    def counts() -> list[tuple[str, str]]:
        used = devices.tokens_used(db, administrator.device()["id"])
        return [(each.token.name, str(each.other_devices)) for each in used]

    assert counts() == [("own", "0"), ("shared", "3")]
    monkeypatch.setattr(queries, "MAX_OTHER_DEVICES", 2)
    assert counts() == [("own", "0"), ("shared", "2+")]


def test_tokens_are_revoked_in_the_same_step_as_the_block(
    client: FlaskClient, db: Database, administrator: Administrator, new_token: NewToken
) -> None:
    first, second, other = new_token(name="1"), new_token(name="2"), new_token(name="3")
    for token in (first, second, other):
        use(client, token, "phone-1")
    revoked = token_ids(db, administrator)[1:]
    assert block(administrator, revoke_tokens=revoked).status_code == 200
    statuses = {
        token: client.get(DEVICE, headers=as_device(token, "phone-2")).status_code
        for token in (first, second, other)
    }
    assert statuses == {first: 401, second: 401, other: 200}
    entries = [(entry.action, entry.subject, entry.actor) for entry in audit.latest(db, 3)]
    assert sorted(entries[:2]) == [
        ("token.revoked", f"token:{token_id}", "token administrator")
        for token_id in sorted(revoked)
    ]
    assert entries[2][0] == "device.blocked"


def test_token_that_the_device_has_not_used_can_not_be_revoked_with_its_block(
    client: FlaskClient, db: Database, administrator: Administrator, new_token: NewToken
) -> None:
    used, unused = new_token(name="used"), new_token(name="unused")
    use(client, used, "phone-1")
    use(client, unused, "phone-2")
    [own] = token_ids(db, administrator)
    for wrong in (own + 1, 10**15):
        response = block(administrator, revoke_tokens=[own, wrong])
        assert (response.status_code, response.get_json()["code"]) == (422, "invalid_request")
        assert response.get_json()["detail"] == f"This device has not used the token {wrong}."
    assert administrator.device()["status"] == "active"
    use(client, used, "phone-1")


def test_tokens_of_a_blocked_device_can_be_revoked_later(
    client: FlaskClient, db: Database, administrator: Administrator, new_token: NewToken
) -> None:
    token = new_token(name="till")
    use(client, token, "phone-1")
    blocked = block(administrator, reason="lost").get_json()
    [token_id] = token_ids(db, administrator)
    assert Cli(client.application).succeed("block", "phone-1", "--revoke-token", str(token_id))
    assert administrator.device() == blocked
    assert client.get(DEVICE, headers=as_device(token)).status_code == 401


def test_denied_attempt_shows_its_address_and_token(
    client: FlaskClient, db: Database, administrator: Administrator, new_token: NewToken
) -> None:
    first, second = new_token(name="first"), new_token(name="second")
    use(client, first, "phone-1")
    administrator.block()
    address = {"REMOTE_ADDR": "2001:db8::7"}
    denied = client.get(DEVICE, headers=as_device(second), environ_overrides=address)
    assert denied.status_code == 403
    assert administrator.device()["last_denied_address"] == "2001:db8::7"
    device = devices.get(db, administrator.device()["id"])
    token = devices.last_denied_token(db, device)
    assert token is not None
    assert token.name == "second"
    assert [used.token.name for used in devices.tokens_used(db, device.id)] == ["first"]
