"""Block several devices with one request."""

from typing import Any

import pytest
from sqlalchemy import select

from apidevices.database import Database
from apidevices.models import AuditEntry
from tests.conftest import Administrator, Register
from tests.management_api.conftest import BULK_BLOCK


def test_bulk_block_blocks_known_devices_and_reports_unknown_ids(
    administrator: Administrator, register: Register, db: Database
) -> None:
    ids = [register(f"phone-{number}") for number in range(3)]
    for _ in range(2):
        response = administrator.request(
            "POST", BULK_BLOCK, json={"ids": [*ids, 99], "reason": "stolen"}
        )
        assert response.json == {"blocked": ids, "not_found": [99]}
    blocked = administrator.devices("?status=blocked")
    assert {(device["id"], device["block_reason"]) for device in blocked} == {
        (device_id, "stolen") for device_id in ids
    }
    with db.read() as session:
        query = select(AuditEntry.subject).where(AuditEntry.action == "device.blocked")
        assert sorted(session.scalars(query)) == [f"device:{device_id}" for device_id in ids]


def test_bulk_block_keeps_existing_blocks(administrator: Administrator, register: Register) -> None:
    ids = [register(f"phone-{number}") for number in range(2)]
    administrator.block("phone-0")
    before = administrator.device("phone-0")
    administrator.request("POST", BULK_BLOCK, json={"ids": ids, "reason": "stolen"})
    assert administrator.device("phone-0") == before


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "body",
    [{}, {"ids": []}, {"ids": ["1"]}, {"ids": [-1]}, {"ids": [True]}, {"ids": [1] * 1001}],
)
def test_bulk_block_with_invalid_ids_blocks_nothing(
    administrator: Administrator, register: Register, body: Any
) -> None:
    register("phone-1")
    response = administrator.request("POST", BULK_BLOCK, json=body)
    assert (response.status_code, response.get_json()["code"]) == (422, "invalid_request")
    assert administrator.devices("?status=blocked") == []
