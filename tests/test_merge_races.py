"""Merges of devices while something else happens to them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from apidevices import devices
from apidevices.database import Database
from apidevices.errors import DeviceNotFound
from tests.activity.test_counts import fleet_days
from tests.conftest import (
    UPLOADS,
    Administrator,
    Register,
    as_device,
    state_of,
)
from tests.test_merge import LATER, OLD, two_devices


@pytest.fixture
def ids(register: Register) -> tuple[int, int]:
    return two_devices(register)


def merge_while(db: Database, ids: tuple[int, int], other: Callable[[], Any]) -> Any:
    """Merge devices, and begin something else before the merge is committed; return its result."""
    with ThreadPoolExecutor(1) as pool:
        futures = []

        def begin(*_: object) -> None:
            futures.append(pool.submit(other))
            time.sleep(0.2)

        devices.merge(db, *ids, moves=[begin], actor="ann", now=LATER)
        return futures[0].result(10)


def test_report_during_a_merge_is_one_of_the_other_device(
    administrator: Administrator, register: Register, db: Database, ids: tuple[int, int]
) -> None:
    assert merge_while(db, ids, lambda: register(OLD, LATER, os="Android")) == ids[1]
    [device] = administrator.devices()
    assert (device["id"], device["os"]) == (ids[1], "Android")


def test_upload_during_a_merge_is_refused_or_kept(
    client: FlaskClient, db: Database, token: str, ids: tuple[int, int]
) -> None:
    def upload() -> int:
        other = client.application.test_client()
        headers = as_device(token, OLD, os="iOS", os_version="17")
        return other.post(UPLOADS, headers=headers, json=1).status_code

    assert merge_while(db, ids, upload) == 503
    assert upload() == 201


def test_daily_counts_written_during_a_merge_are_kept(
    client: FlaskClient, db: Database, register: Register, ids: tuple[int, int]
) -> None:
    activity = state_of(client.application).activity
    oldest = register("phone-oldest")
    for device_id in (oldest, *ids):
        activity.record_request(device_id, None, LATER, upload=True)
    activity.flush()  # only the times, so that the counts are what waits for the merge
    devices.merge(db, oldest, ids[0], moves=(), actor="ann", now=LATER)
    merge_while(db, ids, lambda: activity.flush(counts=True))
    today = devices.activity_days(db, ids[1], LATER)[-1]
    assert (today.requests, today.uploads) == (3, 3)
    assert fleet_days(db)[LATER.date()][:2] == (3, 3)


def test_devices_that_are_merged_into_each_other_at_once_are_merged_once(
    administrator: Administrator, db: Database, ids: tuple[int, int]
) -> None:
    def merge_back() -> str:
        try:
            devices.merge(db, *reversed(ids), moves=(), actor="bob", now=LATER)
        except DeviceNotFound as error:
            return str(error)
        return ""

    assert "was merged into" in merge_while(db, ids, merge_back)
    assert [each["id"] for each in administrator.devices()] == [ids[1]]


def test_deletion_during_a_merge_deletes_nothing(
    administrator: Administrator, db: Database, ids: tuple[int, int]
) -> None:
    def delete() -> list[int]:
        return devices.delete_all(db, [ids[0]], actor="bob", now=LATER)

    assert merge_while(db, ids, delete) == []
    assert [each["id"] for each in administrator.devices()] == [ids[1]]
